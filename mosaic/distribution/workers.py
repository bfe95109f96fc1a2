"""What the workers of a run agree on, and how one that is gone ends the others."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator

import tensorflow as tf

from mosaic.utils.errors import RunError

# What TensorFlow raises in the others when a worker is gone.
_OF_OTHERS = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError)


def count() -> int:
    """Returns the number of workers of the strategy in whose scope this is called."""
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1
    return strategy.num_replicas_in_sync // len(strategy.extended.worker_devices)


def is_chief() -> bool:
    """Whether this worker is the one that writes what a run leaves; a single one always is."""
    return tf.distribute.get_strategy().extended.should_checkpoint


def any_of_them(flag: bool) -> bool:
    """Returns whether `flag` is true for any worker. All must call it, and get the same answer."""
    return flag if count() == 1 else _sum(int(flag)) > 0


def of_chief(value: int) -> int:
    """Returns the chief's value. All workers must call it."""
    return value if count() == 1 else _sum(value if is_chief() else 0, once=True)


def wait() -> None:
    """Waits until all workers are here."""
    any_of_them(False)


def chief_first(work: Callable[[], object]) -> None:
    """Does work in all workers, in the chief before the others."""
    if is_chief():
        work()
    wait()
    if not is_chief():
        work()


def _sum(value: int, once: bool = False) -> int:
    """The sum of a number over the replicas of all workers, or over the first of them alone."""
    strategy = tf.distribute.get_strategy()

    def of_replica():
        is_first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
        return tf.constant(value if is_first or not once else 0, tf.int64)

    total = strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(of_replica), axis=None)
    return int(total.numpy())


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
    """Tells in one line where a run cannot go on because another worker is gone.

    TensorFlow's coordination service notices that: at once where a connection breaks, else after
    10 seconds without a sign of life.

    Raises:
      RunError: another worker has ended or cannot be reached.
    """
    try:
        yield
    except tf.errors.OpError as error:
        is_of_others = isinstance(error, _OF_OTHERS) or "Collective ops is aborted" in str(error)
        if count() == 1 or not is_of_others:
            raise
        raise RunError(
            f"{_gone(str(error))} has ended or cannot be reached; its own last line says why. "
            "Start all workers again to go on from the last checkpoint"
        ) from None


def _gone(message: str) -> str:
    """The worker that is gone, by TensorFlow's message."""
    resolver = tf.distribute.get_strategy().cluster_resolver
    own = (resolver.task_type, str(resolver.task_id))
    # The name of the operation that failed comes first and names this worker.
    tasks = re.findall(r"/job:(\w+)/(?:replica:\d+/)?task:(\d+)", message)
    others = [f"{job} {index}" for job, index in tasks if (job, index) != own]
    return others[0] if others else "another worker"
