r"""docs/model_zoo.md: every published network, its figure, its commands and its cost.

python benchmarks/model_zoo.py count
python benchmarks/model_zoo.py write

`count` builds the network of every published result in mosaic/evaluation/published.json, and keeps
its parameters and multiply-adds at the size at which it was scored in docs/results/model_zoo.json.
`write` renders docs/model_zoo.md.jinja with that, published.json and the experiments.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Mapping, Sequence

import gin
import tensorflow as tf
import tf_keras

import common
import measurement_records
import mosaic.training.train_loop  # noqa: F401 - registers what gin files bind
from measurement_records import DOCS, read
from mosaic import config
from mosaic.evaluation import published
from mosaic.evaluation.html_report import percent
from mosaic.evaluation.protocols import Evaluation
from mosaic.models import cost, quantization_aware
from mosaic.models.resizing import resize_bilinear, rule_of
from mosaic.utils.atomic_io import write_text
from mosaic.utils.errors import UserError
from mosaic.utils.provenance import command, provenance
from results_page import environment

RECORD = "model_zoo"
# What the experiments want for --data_dir, and the name of each data set.
DATA = {
    "cityscapes": ("CITYSCAPES", "Cityscapes"),
    "pascal_voc": ("VOC", "PASCAL VOC 2012"),
    "ade20k": ("ADE", "ADE20K"),
}
# Whose multiply-adds were published for another size than the one that is scored.
EDGETPU = (
    *("zoo_edgetpu_cityscapes", "zoo_edgetpu_cityscapes_stride16"),
    *("zoo_edgetpu_slim_cityscapes", "zoo_edgetpu_slim_cityscapes_stride16"),
)
# Whose published figures are operations.
MOBILENETV3 = ("zoo_mnv3_large_cityscapes", "zoo_mnv3_small_cityscapes")
_NOTHING = {"DATA_DIR": "nowhere", "INIT_CHECKPOINT": None}


def build(key: str) -> tuple[tf_keras.Model, Evaluation]:
    """Builds the float network of a published result, and says how it is scored."""
    path = config.find(key)
    needed = config.missing([path], [])
    config.parse([path], [f"{name} = {_NOTHING[name]!r}" for name in needed])
    model = quantization_aware.float_network(config.build("train.model"))
    evaluation = config.build("train.evaluation")
    gin.clear_config()
    return model, evaluation


def count(key: str, size: Sequence[int] | None = None) -> dict:
    """Counts parameters and multiply-adds of a published network for one image.

    All scales and mirrored images of its evaluation are added up, as DeepLab's page does.

    Args:
      key: key of the result, which is the experiment's name.
      size: (height, width) of the image, in pixels; None for the size that is scored.
    """
    model, evaluation = build(key)
    height, width = size or published.result(key)["settings"]["input_size"]
    costs = [
        cost.count(model, *(int((side - 1) * scale + 1) for side in (height, width)))
        for scale in evaluation.scales
    ]
    return {
        "weights": costs[0].weights,
        "multiply_adds": (1 + evaluation.flip) * sum(found.multiply_adds for found in costs),
        "size": [height, width],
    }


def operations(key: str) -> int:
    """Counts all operations of a published network for one image, as TensorFlow's profiler does.

    A multiply-add is two of them. Softmax and argmax of logits at the image's size are included, as
    in research/deeplab's evaluation.
    """
    model, _ = build(key)
    size = tuple(published.result(key)["settings"]["input_size"])

    @tf.function(input_signature=[tf.TensorSpec([1, *size, 3])])
    def predict(image):
        logits = resize_bilinear(model(image, training=False), size, rule_of(model))
        return tf.argmax(tf.nn.softmax(logits), -1)

    profiler = tf.compat.v1.profiler
    options = {**profiler.ProfileOptionBuilder.float_operation(), "output": "none"}
    return profiler.profile(predict.get_concrete_function().graph, options=options).total_float_ops


def rows(docs: pathlib.Path = DOCS) -> dict[str, list[dict]]:
    """The published networks by the name of their data set, the best first.

    Raises:
      UserError: the costs of one were not counted.
    """
    records = read(docs)
    record = records.get(RECORD, {}).get("networks", {})
    latency = records.get(f"{RECORD}.latency", {}).get("milliseconds", {})
    found: dict[str, list[dict]] = {}
    for key, result in published.results().items():
        if key not in record:
            raise UserError(f"{docs}/results/{RECORD}.json: without {key}; count again")
        place, title = DATA[result["settings"]["dataset"]]
        if result["settings"]["protocol"] == "mlperf_ade20k_top31":
            title += ", top 31 classes"
        row = {"published": result.get("multiply_adds"), **result, **record[key]}
        row |= {"key": key, "commands": _commands(key, place, result)}
        row["milliseconds"] = latency.get(key)
        found.setdefault(title, []).append(row)
    for table in found.values():
        table.sort(key=lambda row: -row["mean_iou"])
    return found


def _commands(key: str, place: str, result: Mapping) -> list[str]:
    """The command lines that score a network and fine-tune it, as far as it has weights."""
    checkpoint = result.get("checkpoint")
    if checkpoint is None:
        return [f"python train.py --gin_file={key} --data_dir={place} --model_dir=runs/{key}"]
    # The weights of quantization-aware training start a float network of other classes.
    network = key.removesuffix("_qat")
    return [
        f"python eval.py --gin_file={key} --data_dir={place} --output_dir=OUT \\\n"
        f"    --checkpoint={checkpoint}",
        f"python train.py --gin_file={network} --gin_file=datasets/own_folders "
        "--data_dir=FOLDER \\\n"
        f"    --model_dir=runs/own --gin.LABEL_MAP=labels.json \\\n"
        f"    --gin.INIT_CHECKPOINT={checkpoint}",
    ]


def billions(value: float | None) -> str:
    """Returns multiply-adds in billions with at least three digits, or a dash."""
    if value is None:
        return "-"
    digits = 0 if value >= 1e11 else 1 if value >= 1e10 else 2
    return f"{value / 1e9:,.{digits}f}"


def render(docs: pathlib.Path = DOCS) -> str:
    """Returns model_zoo.md."""
    templates = environment(docs)
    templates.filters.update(percent=percent, billions=billions)
    records = read(docs)
    record, latency, steps = (records[f"{RECORD}{end}"] for end in ("", ".latency", ".steps"))
    edge = [billions(record["edgetpu_at_513"][key]) for key in EDGETPU]
    whole = [billions(record["operations"][key]) for key in MOBILENETV3]
    return templates.get_template("model_zoo.md.jinja").render(
        tables=rows(docs), edge=edge, operations=whole, latency=latency, steps=steps
    )


def main(arguments: Sequence[str]) -> int:
    """Runs one of the two commands; returns the exit code."""
    parser = argparse.ArgumentParser("model_zoo.py", description=__doc__.split("\n")[0])
    parser.add_argument("task", choices=("count", "write"))
    task = parser.parse_args(arguments).task
    return common.exit_code(_write if task == "write" else _count_all)


def _write() -> None:
    write_text(DOCS / "model_zoo.md", render())


def _count_all() -> None:
    networks = {key: count(key) for key in published.results()}
    edge = {key: count(key, (513, 513))["multiply_adds"] for key in EDGETPU}
    record = {**provenance(command()), "networks": networks, "edgetpu_at_513": edge}
    record["operations"] = {key: operations(key) for key in MOBILENETV3}
    measurement_records.write(RECORD, record)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
