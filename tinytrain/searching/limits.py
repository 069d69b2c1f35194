"""What a network costs on a board, and which networks have room there: what `fit --mcu` estimates before a training.

A network that may be trained is converted, untrained, to int8: RAM, flash and predicted latency are as for its export.
That takes seconds, so the widest one that fits is looked for by estimates from the graph, which take a fraction of
that, and what was found is kept in the cache folder.
"""

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinytrain import distribution, files, progress, provenance
from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.deploy import estimate, firmware, fit_check, latency
from tinytrain.deploy.boards import Board
from tinytrain.deploy.compiled import engine, flash
from tinytrain.deploy.kernels import choice
from tinytrain.deploy.memory import Memory
from tinytrain.deploy.tflm import operators
from tinytrain.errors import DoesNotFit, UserError
from tinytrain.nn import macs, pretrained, step_cost
from tinytrain.quantize import convert
from tinytrain.searching.space import Network
from tinytrain.tflite.strip import strip
from tinytrain.train.resolve import copied

SURE = 1.1  # an estimate of RAM times this, and of flash with all code and SURE_MODEL, need no conversion
SURE_MODEL = 1.03
JUMP = 1.1  # of one architecture, a MAC takes up to so much less time in another network


@dataclass(frozen=True)
class Cost:
    """What a network costs on the board; the latency is the likely one and its interval, None if not predicted."""

    macs: int
    params: int
    memory: Memory
    latency_ms: float | None
    latency_range_ms: tuple[float, float] | None

    def report(self) -> dict[str, Any]:
        """Returns what JSON can hold."""
        return asdict(self)

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Cost":
        """Returns the cost that `report` has written."""
        span = row["latency_range_ms"]
        return cls(
            **row | {"memory": Memory(**row["memory"]), "latency_range_ms": None if span is None else tuple(span)}
        )


@dataclass(frozen=True)
class Sketch:
    """What is known of a network from its graph: estimates that are rather too low than too high.

    step_seconds: what a core takes to train it with one image, by nn/step_cost.py.
    """

    macs: int
    step_seconds: float
    ram_bytes: int
    flash_bytes: int


class Limits:
    """The limits of a board.

    Args:
        board: the board.
        config: [export] and what else of [model] a network is built with.
        classes: how many classes there are.
        channels: of the images.
        latency_ms: the most that the predicted latency may be, None: any.
        most_step_seconds: the most Sketch.step_seconds, None: any.
    """

    def __init__(
        self,
        board: Board,
        config: Config,
        classes: int,
        channels: int,
        latency_ms: float | None = None,
        most_step_seconds: float | None = None,
    ) -> None:
        self.board, self.config, self.classes, self.channels = board, config, classes, channels
        self.latency_ms, self.most_step_seconds = latency_ms, most_step_seconds
        if latency_ms is not None and board.core not in latency.CORES:
            raise UserError(
                f"--latency-ms {latency_ms:g} cannot be checked: nothing is known about the speed of the {board.core} "
                f"of {board.name}; leave it out, or choose a board with one of {', '.join(latency.CORES)}"
            )
        self._known: dict[str, dict[str, Any]] = {}
        self._mac_ms: dict[str, float] = {}  # of an architecture, the least that was seen
        self._fitting: dict[str, int] = {}  # of an architecture, how many widths may fit, as last seen

    def cost(self, network: Network) -> Cost:
        """Returns what a network costs, converted to int8 untrained; kept in the cache folder."""
        cost = Cost.of(self._cached("cost", network, self._converted))
        if cost.latency_ms is not None:
            known = self._mac_ms.get(network.name, float("inf"))
            self._mac_ms[network.name] = min(known, cost.latency_ms / cost.macs)
        return cost

    def sketch(self, network: Network) -> Sketch:
        """Returns what the graph of a network tells; kept in the cache folder."""
        return Sketch(**self._cached("sketch", network, self._from_graph))

    def may_fit(self, network: Network) -> bool:
        """Returns whether a network may have room, by its graph."""
        sketch, ram_bytes = self.sketch(network), self.board.ram_limit_bytes(firmware.STACK_BYTES)
        has_memory = sketch.ram_bytes <= ram_bytes and sketch.flash_bytes <= self.board.flash_bytes
        return has_memory and self._is_small_enough(network)

    def widths(self, name: str, resolution: int, stem: str, candidates: Sequence[float]) -> Sequence[float]:
        """Returns those of the `candidates`, which rise, with which a network has room for sure."""
        networks = [Network(name, width, resolution, stem) for width in candidates]
        low = self._quick_enough(networks[: self._that_may_fit(networks)])
        while low and not self._surely_fits(networks[low - 1]):
            low = min(low - 1, self._quick_enough(networks[:low]))
        return candidates[:low]

    def _that_may_fit(self, networks: Sequence[Network]) -> int:
        """Returns how many of rising networks may fit; weights, which flash limits, are as many at any resolution."""
        low, high = 0, len(networks)
        middle = min(self._fitting.get(networks[0].name, (low + high + 1) // 2), high)
        while low < high:
            low, high = (middle, high) if self.may_fit(networks[middle - 1]) else (low, middle - 1)
            near = networks[0].name in self._fitting  # where there is a guess, it is right or nearly so
            middle = min(low + 1, high) if near and low else (low + high + 1) // 2
        if low > 0 and len(networks) > 1:
            self._fitting[networks[0].name] = low
        return low

    def missed(self, cost: Cost) -> str:
        """Returns which limits a cost is above and by how much, "" if none."""
        parts = [cost.memory.excess()] if not cost.memory.fits else []
        if self.latency_ms is not None and cost.latency_ms is None:
            parts.append("a time that cannot be predicted")
        elif self.latency_ms is not None and cost.latency_ms is not None and cost.latency_ms > self.latency_ms:
            over = cost.latency_ms - self.latency_ms
            parts.append(f"{cost.latency_ms:.3g} ms, {over:.3g} ms more than --latency-ms {self.latency_ms:g}")
        return " and ".join(parts)

    def that_fit(self, smallest: Sequence[Network]) -> list[str]:
        """Returns the architectures whose smallest network fits; raises DoesNotFit if there is none."""
        names = [one.name for one in smallest if self.widths(one.name, one.resolution, one.stem, [one.width])]
        if not names:
            raise self._none_fits(smallest)
        return names

    def _none_fits(self, smallest: Sequence[Network]) -> DoesNotFit:
        """Returns the error where none of the smallest networks fits: it names the one that misses the least."""
        costs = {network: self.cost(network) for network in smallest}
        nearest = min(costs, key=lambda network: self._excess(costs[network]))
        return DoesNotFit(
            f"no network of the search fits {self.board.name}: the smallest, {nearest}, needs "
            f"{self.missed(costs[nearest])}; use a smaller model.resolution or model.width, or a larger board"
        )

    def _excess(self, cost: Cost) -> float:
        """Returns by which factor a cost is above the limit that it misses most."""
        memory = cost.memory
        shares = [memory.ram_bytes / memory.ram_limit_bytes, memory.flash_bytes / memory.flash_limit_bytes]
        if self.latency_ms is not None:
            shares.append((cost.latency_ms or float("inf")) / self.latency_ms)
        return max(shares)

    def _surely_fits(self, network: Network) -> bool:
        """Returns whether a network fits: by its graph if that has room to spare, else converted."""
        if not self._is_small_enough(network):
            return False
        sketch, ram_bytes = self.sketch(network), self.board.ram_limit_bytes(firmware.STACK_BYTES)
        flash_bytes = SURE_MODEL * sketch.flash_bytes + flash.ALL_CODE_BYTES
        spare = SURE * sketch.ram_bytes <= ram_bytes and flash_bytes <= self.board.flash_bytes
        if self.latency_ms is None and self._compiled and spare:
            return True
        return not self.missed(self.cost(network))

    def _is_small_enough(self, network: Network) -> bool:
        return self.most_step_seconds is None or self.sketch(network).step_seconds <= self.most_step_seconds

    def _quick_enough(self, networks: Sequence[Network]) -> int:
        """Returns how many of rising `networks` may be quick enough, by the time that a MAC of others has taken."""
        quickest, left = self._mac_ms.get(networks[0].name if networks else ""), len(networks)
        if self.latency_ms is None or quickest is None:
            return left
        while left and self.sketch(networks[left - 1]).macs * quickest > JUMP * self.latency_ms:
            left -= 1
        return left

    def _build(self, network: Network) -> Any:
        """Returns the untrained network."""
        config = copied(self.config)
        for dotted, value in network.settings.items():
            setattr(config.model, dotted.partition(".")[2], value)
        config.model.channels = 3 if self.channels == 3 else 1
        options = pretrained.architecture_options(config.model) | {"classes": self.classes}
        return plugins.load("models", network.name).build(**options)

    def _from_graph(self, network: Network) -> dict[str, Any]:
        model = self._build(network)
        arena_bytes, model_bytes = estimate.arena_and_model_bytes(model, self._compiled)
        ram_bytes = arena_bytes + firmware.STACK_BYTES + operators.OTHER_RAM_BYTES
        image_bytes = network.resolution**2 * (3 if self.channels == 3 else 1)  # of the golden case
        return {
            "macs": macs.count(model),
            "step_seconds": step_cost.seconds_of(model),
            "ram_bytes": ram_bytes,
            "flash_bytes": model_bytes + operators.FIRMWARE_BYTES + image_bytes + self.classes,
        }

    @property
    def _compiled(self) -> bool:
        return not engine.certain_reason(self.config.export, self.board)

    def _converted(self, network: Network) -> dict[str, Any]:
        model = self._build(network)
        with progress.stage(f"converting {network} for the board"):
            stripped = strip(convert.convert_untrained(model))
        chosen = engine.choose(stripped, self.config.export, self.board)
        kernels = () if chosen.plan else choice.held(stripped, self.config.export.kernels, self.board).kernels
        predicted = latency.predict(stripped.operators, self.board, None, kernels, chosen.estimated_instructions)
        return {
            "macs": macs.count(model),
            "params": int(sum(np.prod(variable.shape) for variable in model.trainable_variables)),
            "memory": asdict(fit_check.of_engine(stripped, chosen, self.config.export, self.board)),
            "latency_ms": predicted.likely_ms if predicted else None,
            "latency_range_ms": [predicted.low_ms, predicted.high_ms] if predicted else None,
        }

    def _cached(self, kind: str, network: Network, make: Any) -> dict[str, Any]:
        facts = [kind, asdict(network), self.classes, self.channels, asdict(self.config.export), _code(self.board)]
        facts += [self.config.model.dropout, self.config.model.norm_epsilon]
        name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
        if name not in self._known:
            path = files.cache_folder() / "networks" / f"{name}.json"
            self._known[name] = _read(path) or _kept(path, make(network))
        return self._known[name]


def _code(board: Board) -> str:
    """Returns what a cost depends on beside the network: the board, and the code that counts."""
    return f"{board.path.read_text()} {distribution.version()} {_commit()}"


@functools.cache
def _commit() -> str:
    return provenance.commit()


def _read(path: Path) -> dict[str, Any]:
    try:
        row = json.loads(path.read_text())
    except (OSError, ValueError):  # not there, or another process was killed while it wrote
        return {}
    return row if isinstance(row, dict) else {}


def _kept(path: Path, row: dict[str, Any]) -> dict[str, Any]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path, row)
    except (OSError, UserError):  # a cache that cannot be written keeps nothing
        pass
    return row
