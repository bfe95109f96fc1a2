"""The memory of training steps, as `train.py --show_config` estimates it and as it is measured.

python benchmarks/step_memory.py --output=OUT

Each step runs in a process of its own, on the CPU: the peak of its memory after three steps.
"""

from __future__ import annotations

import json
import multiprocessing
import resource

import tensorflow as tf

import common
from mosaic import cli, config
from mosaic.distribution.runtime import runtime
from mosaic.training import dry_run, step_memory

# Experiment, height and width of its crops, and batch.
CASES = (
    ("mosaic_camvid", 256, 256, 2),
    ("mosaic_camvid", 360, 480, 4),
    ("mosaic_cityscapes", 512, 1024, 2),
    ("deeplabv3_mnv2_pascal", 256, 256, 8),
    ("deeplabv3_257", 257, 257, 8),
    ("deeplabv3plus_r50_cityscapes", 256, 256, 4),
)


def measured(case: tuple[str, int, int, int]) -> dict:
    """Returns the estimate and the peak of one case, in bytes; for a process of its own."""
    name, height, width, batch = case
    given = [f"CROP_SIZE = ({height}, {width})", f"BATCH_SIZE = {batch}"]
    cli.configure([config.find(name)], given, None, cli.NO_FILES)
    runtime()
    model, optimizer = config.build("train.model"), config.build("train.optimizer")
    task = dry_run.task_without_data(model)
    step = step_memory.traced(task, optimizer, height, width)
    images = tf.fill([batch, height, width, 3], tf.constant(100, tf.uint8))
    for _ in range(3):
        step(images, images[..., 0] // 100)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    estimate = step_memory.estimate(task, optimizer, step)
    return {"case": case, "estimate": estimate, "measured": peak}


def main() -> None:
    """Measures."""
    values = common.parser(__doc__, 1).parse_args()
    results = []
    for case in CASES:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            results.append(pool.apply(measured, (case,)))
        found = results[-1]
        mebi = {name: found[name] / 2**20 for name in ("estimate", "measured")}
        ratio = found["measured"] / found["estimate"]
        print(*case, json.dumps({k: round(v) for k, v in mebi.items()}), f"{ratio:.2f}", flush=True)
    common.save(values, steps=results)


if __name__ == "__main__":
    main()
