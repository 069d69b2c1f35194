"""RUN/tensorboard: what each epoch came to, as event files that TensorBoard shows (log.tensorboard=true).

The folders train and val hold the same tags, which TensorBoard draws as two curves in one picture. The history of
the checkpoint is authoritative: a resumed training writes all of it again, so that a kill neither doubles nor loses
an epoch. TensorFlow writes the files; the package tensorboard is needed to look at them only.
"""

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.core.framework.summary_pb2 import SummaryMetadata

from tinytrain.errors import UserError
from tinytrain.train.figures import Figure

SCALAR = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"))
Row = dict[str, float]


class TensorBoardLog(keras.callbacks.Callback):
    """Writes each epoch that has come into the history, if it comes after the checkpoint that adds it there.

    Args:
        folder: RUN/tensorboard; what an earlier part of the training wrote there is replaced.
        history: returns the rows of history.csv so far.
        figure: of the task, written beside loss and learning rate.
    """

    def __init__(self, folder: Path, history: Callable[[], list[Row]], figure: Figure) -> None:
        super().__init__()
        self.folder, self.history = folder, history
        self.tags = {"loss": "loss", figure.key: figure.label, "lr": "learning rate"}  # column of the history -> tag

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Writes the epochs that were trained before."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with self._write_errors():
            self.writers = {name: tf.summary.create_file_writer(str(self.folder / name)) for name in ("train", "val")}
        for row in self.history():
            self._write(row)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes the epoch that has just ended."""
        self._write(self.history()[-1])

    def on_train_end(self, logs: dict | None = None) -> None:
        """Closes the files."""
        with self._write_errors():
            for writer in self.writers.values():
                writer.close()

    @contextlib.contextmanager
    def _write_errors(self) -> Iterator[None]:
        """Turns TensorFlow's error for what it cannot write into one sentence."""
        try:
            yield
        except tf.errors.OpError as error:
            reason = re.sub(r"^\{\{.*?\}\} | \[Op:.*", "", error.message.splitlines()[0])
            raise UserError(
                f"cannot write '{self.folder}': {reason}; free some room, or go on without it: "
                "--resume log.tensorboard=false"
            ) from None

    def _write(self, row: Row) -> None:
        for split, prefix in (("train", ""), ("val", "val_")):
            with self._write_errors(), self.writers[split].as_default(step=int(row["epoch"])):
                for name, tag in self.tags.items():
                    if prefix + name in row:
                        tf.summary.write(tag, tf.constant(row[prefix + name], tf.float32), metadata=SCALAR)
            self.writers[split].flush()
