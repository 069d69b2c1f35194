"""Planned runs that several processes share, of one machine or of several with a shared folder.

The folder of the runs is all that they share: whoever has the lease of a run folder trains that run (locks.py), and
metrics.json in it says that the run is finished. A process takes the next run of the plan that nobody has, and a run
whose process has died goes on after its last whole epoch. Where nothing is left to take, it waits for the others.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tinytrain import progress
from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.data.source import counted
from tinytrain.errors import UserError, escaped
from tinytrain.experiments.planned import Planned
from tinytrain.files import make_folder
from tinytrain.locks import Held, Lost, Watch
from tinytrain.run import Run

POLL_SECONDS = 1.0


class SharedRuns:
    """The runs of a plan, which this process trains together with others.

    Args:
        plan: the runs in the order in which they are taken.
        train: trains a run from where it stands to its end, its lease held.
        pause: called with some seconds between two looks at what others do.
    """

    def __init__(
        self,
        plan: Sequence[Planned],
        train: Callable[[Planned], None],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.plan, self.train, self.pause = plan, train, pause
        self.errors: dict[Path, UserError] = {}  # of runs that failed here, by their folder
        self.holders: dict[Path, str] = {}  # of runs that others have, by their folder, as last seen
        self._sources = {planned.folder: sources(planned, plan) for planned in plan}
        self._finished: set[Path] = set()
        self._watch = Watch()
        self._told: dict[Path, str] = {}  # of whom lines have said that we wait for them
        self._waiting, self._waits = contextlib.ExitStack(), False  # the stage that is shown

    @property
    def finished(self) -> list[Planned]:
        """The finished runs in the order of the plan, whoever has trained them."""
        return [planned for planned in self.plan if self._is_finished(planned.folder)]

    def train_all(self, progressed: Callable[[list[Planned]], None]) -> None:
        """Trains what nobody else does until every run is finished or has failed here.

        Args:
            progressed: called with `finished` whenever it has grown.
        """
        shown = 0
        with self._waiting:
            while True:
                if len(done := self.finished) > shown:
                    progressed(done)
                    shown = len(done)
                left = [run for run in self.plan if run.folder not in self._finished | self.errors.keys()]
                if not left:
                    break
                self.holders = {}
                if not any(map(self._take, self._ready(left))):
                    self._wait(len(left))
        for folder in self._finished & self.errors.keys():  # another process had more luck, or more memory
            del self.errors[folder]

    def _is_finished(self, folder: Path) -> bool:
        if folder not in self._finished and Run(folder).finished:
            self._finished.add(folder)
        return folder in self._finished

    def _ready(self, left: list[Planned]) -> list[Planned]:
        """Returns those of `left` whose weights and teachers are trained or failed; all, if each waits for another."""
        over = self._finished | self.errors.keys()
        return [planned for planned in left if self._sources[planned.folder] <= over] or left

    def _take(self, planned: Planned) -> bool:
        """Trains a run, unless another process has it, and returns whether it is over, well or not."""
        run = Run(planned.folder)
        try:
            make_folder(run.folder)
            with run.writing(self._watch):
                if not run.finished:  # else by another one, since we looked
                    self._end_waiting()
                    self.train(planned)
        except Held as error:
            self.holders[planned.folder] = error.holder
            if isinstance(error, Lost):
                print(f"tinytrain: {error}", file=sys.stderr)
            return False
        except UserError as error:  # such as a loss that is not finite
            print(f"tinytrain: {error}", file=sys.stderr)
            self.errors[planned.folder] = error
        return True

    def _end_waiting(self) -> None:
        self._waiting.close()
        self._waits = False

    def _wait(self, left: int) -> None:
        """Waits for a moment; says for what and on whom, whenever that is something else than before."""
        for folder, holder in self.holders.items():
            if self._told.get(folder) != holder:
                progress.write(escaped(f"waiting for '{folder}', which {holder} trains"))
        self._told = self.holders
        if not self._waits:
            self._waits = True
            self._waiting.enter_context(progress.stage(f"waiting for {counted(left, 'run')} of other processes"))
        self.pause(POLL_SECONDS)


def sources(planned: Planned, plan: Sequence[Planned]) -> set[Path]:
    """Returns the folders of the planned runs that the config of a run names: its weights, its teacher."""
    folder_of = {other.folder.absolute(): other.folder for other in plan if other is not planned}
    unused = {*plugins.names("methods")} - {*configs.methods(planned.config)}
    known, named = configs.keys(), set[Path]()
    for dotted in known:
        value = configs.get_key(planned.config, dotted)
        if isinstance(value, str) and "/" in value and dotted.partition(".")[0] not in unused:
            path = Path(value).absolute()
            named |= {folder_of[folder] for folder in (path, *path.parents) if folder in folder_of}
    return named
