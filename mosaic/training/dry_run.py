"""What a run would be: its configuration, network, cost, memory and schedule, without any data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import gin
import tf_keras

from mosaic import config
from mosaic.models import cost, quantization_aware
from mosaic.models.freezing import freeze
from mosaic.models.inputs import check_size
from mosaic.training import step_memory
from mosaic.training.completeness import check_trains
from mosaic.training.settling import tell_slow_averages
from mosaic.training.task import SegmentationTask
from mosaic.utils import bound_settings
from mosaic.utils.errors import UserError
from mosaic.utils.settings import as_names

# Number of parts of the schedule at whose ends the learning rate is shown.
_PARTS = 20
# TensorFlow counts the pixels of an image in 32 bits.
_MOST_PIXELS = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class _Classes:
    """What a task asks of a data set before it reads any of it."""

    num_classes: int
    ignore_label: int
    crop_size: tuple[int, int] | None
    name: str = "no data"

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(map(str, range(self.num_classes)))


def show() -> str:
    """Returns the configured run as text, after the network was built and a step traced.

    Raises:
      UserError: the configuration is not for training, or the network does not take its crops, or
        TensorFlow none of this size, or frozen layers are not its.
    """
    # Data sets of others may crop in their own way, but then nothing here knows their size.
    check_trains(["Augment.crop_size"])
    height, width = config.value("Augment.crop_size")
    if height * width > _MOST_PIXELS:
        raise UserError(
            f"{bound_settings.name_of('Augment.crop_size')} = {height, width}: a step has at most "
            f"{_MOST_PIXELS:,} pixels in an image; take a smaller size"
        )
    tell_slow_averages()
    model = config.build("train.model")
    check_size(model, height, width)
    freeze(model, as_names(config.value("train.frozen_prefixes")))
    optimizer, steps = config.build("train.optimizer"), config.value("train.steps")
    summary: list[str] = []
    model.summary(line_length=120, print_fn=summary.append)
    task = task_without_data(model)
    step = step_memory.traced(task, optimizer, height, width)
    num_bytes = step_memory.estimate(task, optimizer, step)
    counted = cost.count(quantization_aware.float_network(model), height, width)
    parts = {
        "configuration": list(_settings()),
        "network": summary,
        "cost of an image": [f"{model.name}: {counted}"],
        "memory": [
            f"about {num_bytes / 2**30:.1f} GiB for steps of {task.batch_size} images of "
            f"{height}x{width} on the CPU, TensorFlow itself included: an estimate from the graph",
            "(without the input pipeline and the evaluation; six steps that were measured needed "
            "0.96 to 1.11 of their estimates; GPUs were not measured)",
        ],
        "learning rate": _schedule(optimizer, steps),
    }
    return "\n\n".join("\n".join((f"# {name}", *lines)) for name, lines in parts.items())


def task_without_data(model: tf_keras.Model) -> SegmentationTask:
    """Returns the configured task of a network, whose steps can be traced and run."""
    loss = config.build("train.loss")
    ignored = getattr(loss, "ignore_label", None)
    classes = _Classes(
        model.output_shape[-1],
        255 if ignored is None else ignored,
        config.value("Augment.crop_size"),
    )
    batch_size, recompute = config.value("train.batch_size"), config.value("train.recompute")
    return SegmentationTask(model, classes, loss, batch_size, seed=0, recompute=recompute)


def _settings() -> Iterator[str]:
    """Every parameter of what acts, with the macro that sets it, or that it is the default."""
    bound = {setting.parameter: setting for setting in bound_settings.acting()}
    for name in sorted(bound_settings.acting_names()):
        for parameter, declared in config.parameters(name).items():
            full = f"{name}.{parameter}"
            if full in bound:
                source = "" if bound[full].name == full else f"  # {bound[full].name}"
                yield f"{full} = {bound[full].value!r}{source}"
            elif declared.default not in (declared.empty, gin.REQUIRED):
                yield f"{full} = {declared.default!r}  # default"


def _schedule(optimizer: tf_keras.optimizers.legacy.Optimizer, steps: int) -> list[str]:
    """The learning rate at steps that are evenly spread."""
    rate = optimizer.learning_rate
    if not isinstance(rate, tf_keras.optimizers.schedules.LearningRateSchedule):
        return [f"{float(rate):.3g} at each of {steps} steps"]
    places = sorted({round(part * steps / _PARTS) for part in range(_PARTS + 1)})
    return [f"step {place}: {float(rate(place)):.3g}" for place in places]
