r"""Measures exported files side by side: size, computation, latency, memory, and where time goes.

python benchmark.py first.tflite second.tflite exports/saved_model --images=photos
python benchmark.py a.tflite b.tflite --output_dir=out --scores=a.tflite=0.598 \
      --scores=b.tflite=runs/b/eval/report.json --profile

python benchmark.py --model_dir=runs/camvid --output_dir=out

Models take turns on the same images; ratios are to the first. --model_dir exports a run in every
format, scores each export and measures it. --adb measures TFLite files also on the connected phone,
with benchmark_model in /data/local/tmp.
"""

import os
import sys
import types

from absl import flags

from mosaic import cli
from mosaic.utils.run_layout import CONFIG


def main(values: cli.Values, bindings: list[str], models: list[str]) -> None:
    """Measures."""
    for flag in ("data_dir", "export_dir"):
        if getattr(values, flag) and not values.model_dir:
            raise cli.UserError(f"--{flag} is for the formats of a run; add --model_dir")
    if not (models or values.model_dir):
        raise cli.UserError("name the models, MODEL [MODEL ...], or give --model_dir=RUN")
    if models and values.model_dir:
        raise cli.UserError(f"{models[0]}: name files, or --model_dir for all formats of a run")
    if values.model_dir and not os.path.isfile(os.path.join(values.model_dir, CONFIG)):
        raise cli.UserError(f"--model_dir={values.model_dir}: no run: {CONFIG} is not in it")
    if values.delegates and not values.adb:
        raise cli.UserError("--delegates is for a phone; add --adb")
    size = cli.parse_size(values.size)
    if values.output_dir:
        cli.check_writable(values.output_dir)
    from mosaic.benchmark import report
    from mosaic.benchmark.latency import use_threads
    from mosaic.benchmark.measure import benchmark, check_numbers
    from mosaic.utils.provenance import command

    settings = {name: getattr(values, name) for name in ("threads", "runs", "warmup", "images")}
    check_numbers(values.threads, values.runs, values.warmup)
    use_threads(values.threads)
    scores = values.scores
    if values.model_dir:
        models, found = _exported(values, size)
        scores = [*found, *scores]
    results = benchmark(
        models,
        size=size,
        scores=scores,
        profile=values.profile,
        delegates=(values.delegates or ["cpu"]) if values.adb else (),
        allow_code=values.allow_code,
        **settings,
    )
    print(report.table(results))
    if values.output_dir:
        written = report.save(results, values.output_dir, command(), settings)
        print(f"see {' and '.join(map(str, written))}")


def _exported(values: cli.Values, size: tuple[int, int] | None) -> tuple[list[str], list[str]]:
    """Exports a run in every format, each scored; returns the paths, and `PATH=MIOU` of each."""
    model = types.SimpleNamespace(model=values.model_dir, gin_file=[], allow_code=values.allow_code)
    checkpoint, files = cli.model_and_files(model)
    cli.configure(files, [], values.data_dir, cli.NOT_TRAINING)
    from mosaic.export.export_checkpoint import export_checkpoint

    results = export_checkpoint(
        checkpoint,
        values.export_dir or os.path.join(values.model_dir, "exports"),
        quantize=("all",),
        size=size,
        output="labels",
        evaluate=True,
    )
    return list(results), [f"{path}={result.mean_iou[1]}" for path, result in results.items()]


if __name__ == "__main__":
    FLAGS = cli.common_flags("model_dir", "data_dir", "allow_code")
    flags.DEFINE_string(
        "export_dir", None, "Folder for a run's exports. Default: its exports.", flag_values=FLAGS
    )
    flags.DEFINE_multi_string(
        "images", [], "Images, folders or videos. Default: noise.", flag_values=FLAGS
    )
    flags.DEFINE_string(
        "size",
        None,
        "HEIGHTxWIDTH for models that take any. Default: the first fixed one, or the image's.",
        flag_values=FLAGS,
    )
    flags.DEFINE_integer("threads", 2, "Of each model's computation.", flag_values=FLAGS)
    flags.DEFINE_integer("runs", 50, "Timed runs of each model.", flag_values=FLAGS)
    flags.DEFINE_integer("warmup", 5, "Runs before them.", flag_values=FLAGS)
    flags.DEFINE_string(
        "output_dir",
        None,
        "Folder for JSON and plot. Default: the table is only printed.",
        flag_values=FLAGS,
    )
    flags.DEFINE_multi_string(
        "scores", [], "MODEL=MIOU or MODEL=report.json; repeatable.", flag_values=FLAGS
    )
    flags.DEFINE_bool("profile", False, "Time TFLite's operators.", flag_values=FLAGS)
    flags.DEFINE_list(
        "delegates", None, "With --adb: cpu, gpu, nnapi. Default: cpu.", flag_values=FLAGS
    )
    flags.DEFINE_bool("adb", False, "Measure on the connected phone too.", flag_values=FLAGS)
    sys.exit(cli.run(__doc__, FLAGS, main, takes_more=True, takes_gin=False))
