"""What the workers of one training exchange: TensorFlow's collectives, and nothing at all where there is one worker.

Each process keeps plain Keras variables and trains on its share of the same batch of (seed, step). Of
`tf.distribute.MultiWorkerMirroredStrategy` only the all-reduce and all-gather are used, inside of the traced step:
Keras' `fit` under the strategy itself reduces metrics per replica, and scales losses that methods compute themselves.

`begin` must run before any other operation of TensorFlow.
"""

import contextlib
import json
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinytrain import progress
from tinytrain.errors import TinytrainError, UserError
from tinytrain.quiet import quiet
from tinytrain.workers import meeting
from tinytrain.workers.cluster import Cluster

Tensors = Sequence[Any]
# What TensorFlow raises where a worker does not answer any more.
GONE = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
OF_WORKERS = re.compile(r"/job:worker|collective|heartbeat|coordination", re.IGNORECASE)  # in what it says then


class WorkerGone(UserError):
    """Another worker has ended in the middle of a training."""


class Workers:
    """The workers of a training, as one of them sees them.

    Args:
        cluster: who they are.
        strategy: a MultiWorkerMirroredStrategy, None for a single worker.
    """

    def __init__(self, cluster: Cluster, strategy: Any = None) -> None:
        self.cluster, self._strategy = cluster, strategy
        self.number, self.count, self.chief = cluster.number, cluster.count, cluster.chief
        self._reduced = tf.function(self._reduce, autograph=False)
        self._gathered = tf.function(self._gather, autograph=False, reduce_retracing=True)

    def share(self, count: int) -> slice:
        """Returns which of `count` items in a row are this worker's; shares differ by one at most."""
        ends = [count * number // self.count for number in (self.number, self.number + 1)]
        return slice(*ends)

    def mean(self, tensors: Tensors) -> list[Any]:
        """Returns the mean over the workers of each tensor, in one exchange; None stays None.

        Inside of a traced step.
        """
        return self._packed(tensors, tf.distribute.ReduceOp.MEAN)

    def differentiable_mean(self, tensor: tf.Tensor) -> tf.Tensor:
        """Returns the mean over the workers, whose gradient is the mean of the gradients.

        A tape does not see into the threads in which TensorFlow reduces.
        """
        averaged = tf.custom_gradient(lambda own: (self.mean([own])[0], lambda gradient: self.mean([gradient])[0]))
        return averaged(tensor)

    def average(self, variables: Sequence[keras.Variable]) -> None:
        """Gives each variable the mean of its values."""
        if self._strategy is not None and variables:
            for variable, value in zip(variables, self._reduced(_values(variables), True), strict=True):
                variable.assign(value)

    def add_up(self, variables: Sequence[keras.Variable]) -> None:
        """Gives each variable the sum of its values, such as those of metrics."""
        if self._strategy is not None and variables:
            for variable, value in zip(variables, self._reduced(_values(variables), False), strict=True):
                variable.assign(value)

    def adopt(self, variables: Sequence[keras.Variable]) -> None:
        """Gives each variable the value that it has on the chief."""
        if self._strategy is None or not variables:
            return
        own = [value if self.chief else tf.zeros_like(value) for value in map(_summable, variables)]
        for variable, value in zip(variables, self._reduced(own, False), strict=True):
            variable.assign(tf.cast(value, variable.dtype))

    def gather(self, value: Any) -> list[Any]:
        """Returns the `value` of each worker, anything that JSON can hold, in their order."""
        if self._strategy is None:
            return [value]
        data = np.frombuffer(json.dumps(value).encode(), np.uint8).astype(np.int32)
        sizes = self._gathered(tf.constant([len(data)])).numpy()
        parts = np.split(self._gathered(tf.constant(data)).numpy(), np.cumsum(sizes)[:-1])
        return [json.loads(part.astype(np.uint8).tobytes()) for part in parts]

    def tell(self, value: Any) -> Any:
        """Returns the chief's `value`, anything that JSON can hold."""
        return self.gather(value if self.chief else None)[0]

    def gather_rows(self, array: np.ndarray) -> np.ndarray:
        """Returns the rows (n, …) of all workers below each other, in their order; n may differ."""
        if self._strategy is None:
            return array
        return self._gathered(tf.constant(array)).numpy()

    @contextlib.contextmanager
    def agreeing(self) -> Iterator[None]:
        """Raises what one worker raises in the block on all of them; the workers exchange nothing else in it."""
        raised: TinytrainError | None = None
        try:
            yield
        except TinytrainError as error:
            if self._strategy is None:
                raise
            raised = error
        sentences = self.gather(str(raised) if raised else None)
        if raised:
            raise raised
        if failed := next((number for number, sentence in enumerate(sentences) if sentence is not None), None):
            raise UserError(f"{self.cluster.name(failed)}: {sentences[failed]}")
        if sentences[0] is not None:
            raise UserError(f"the chief, {self.cluster.name(0)}: {sentences[0]}")

    def refuse_different(self, facts: Mapping[str, Any]) -> None:
        """Raises UserError, on all workers, if one of these {name: value} is not that of the chief."""
        everyone = self.gather(dict(facts))
        for number, own in enumerate(everyone):
            for name, value in everyone[0].items():
                if own.get(name) != value:
                    raise UserError(
                        f"{self.cluster.name(number)} has {name} {_short(own.get(name))}, the chief {_short(value)}: "
                        "all workers need the same"
                    )

    @contextlib.contextmanager
    def watched(self, how_to_go_on: Callable[[], str]) -> Iterator[None]:
        """Raises WorkerGone in place of TensorFlow's pages where another worker has ended inside of the block.

        Args:
            how_to_go_on: gives the end of the sentence.
        """
        began = time.time()
        try:
            yield
        except GONE as error:
            if self._strategy is None or not OF_WORKERS.search(str(error)):
                raise
            tasks = [int(task) for task in re.findall(r"/job:worker/(?:replica:\d+/)?task:(\d+)", str(error))]
            others = [task for task in tasks if task != self.number and task < self.count]
            others += [1 - self.number] if self.count == 2 else []
            who = self.cluster.name(others[0]) if others else "another worker"
            raise WorkerGone(
                f"{who} no longer answers, {time.time() - began:,.0f} s after the training began: its process or "
                f"machine has stopped, or the connection to it is broken; {how_to_go_on()}"
            ) from None

    def barrier(self) -> None:
        """Waits until all workers are here."""
        self.gather(None)

    def _packed(self, tensors: Tensors, operation: Any) -> list[Any]:
        """Returns each tensor reduced.

        All of one dtype travel as one vector, since each exchange takes its time.
        """
        if self._strategy is None:
            return list(tensors)
        results: list[Any] = [None] * len(tensors)
        dtypes = dict.fromkeys(tensor.dtype for tensor in tensors if tensor is not None)
        for dtype in dtypes:
            chosen = [i for i, tensor in enumerate(tensors) if tensor is not None and tensor.dtype == dtype]
            vector = tf.concat([tf.reshape(tensors[i], [-1]) for i in chosen], 0)
            reduced = self._run(lambda context, value: context.all_reduce(operation, value), vector)
            shapes = [_shape(tensors[i]) for i in chosen]
            parts = tf.split(reduced, [math.prod(s) if isinstance(s, list) else tf.reduce_prod(s) for s in shapes])
            for i, part, shape in zip(chosen, parts, shapes, strict=True):
                results[i] = tf.reshape(part, shape)
        return results

    def _run(self, exchange: Callable[[Any, tf.Tensor], tf.Tensor], value: tf.Tensor) -> tf.Tensor:
        def replica(own: tf.Tensor) -> tf.Tensor:
            placed = tf.identity(own)  # on the replica's device: tensors of a traced function have none
            return exchange(tf.distribute.get_replica_context(), placed)

        return self._strategy.run(replica, args=(value,))

    def _reduce(self, tensors: list[tf.Tensor], mean: bool) -> list[tf.Tensor]:
        return self._packed(tensors, tf.distribute.ReduceOp.MEAN if mean else tf.distribute.ReduceOp.SUM)

    def _gather(self, rows: tf.Tensor) -> tf.Tensor:
        return self._run(lambda context, own: context.all_gather(own, axis=0), rows)


def _shape(tensor: tf.Tensor) -> Any:
    """Returns the shape as a list where it is known, which spares the step operations, and else as a tensor.

    NetAug draws its widths in the step, so that the channels of its BatchNorms are not known before.
    """
    return tensor.shape.as_list() if tensor.shape.is_fully_defined() else tf.shape(tensor)


_here = Workers(Cluster())


def here() -> Workers:
    """Returns the workers of this process's training; a single one unless `begin` has run."""
    return _here


def begin(cluster: Cluster) -> Workers:
    """Joins the other workers, for this process's whole life, and returns them.

    Raises:
        UserError: they do not meet (`meeting`), or TensorFlow cannot join them.
    """
    global _here
    if cluster.count == 1 or _here.count > 1:
        return _here
    meeting.meet(cluster)
    gpus = tf.config.list_physical_devices("GPU")
    tf.config.set_visible_devices(gpus[:1], "GPU")  # a process for each GPU
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=tf.distribute.experimental.CommunicationImplementation.AUTO
    )
    try:
        with progress.stage("joining the other workers"), quiet(), meeting.guarded(cluster):
            strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
            _here = Workers(cluster, strategy)
            _here.barrier()
    except tf.errors.OpError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{cluster.name(cluster.number)} cannot join the others: {reason}") from None
    return _here


def _values(variables: Sequence[keras.Variable]) -> list[tf.Tensor]:
    return [tf.convert_to_tensor(variable.value) for variable in variables]


def _summable(variable: keras.Variable) -> tf.Tensor:
    """Returns the value in a type that collectives take."""
    value = tf.convert_to_tensor(variable.value)
    return value if value.dtype.is_floating or value.dtype in (tf.int32, tf.int64) else tf.cast(value, tf.int64)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
