r"""Measures exported files side by side: size, computation, latency, memory, and where time goes.

python benchmark.py first.tflite second.tflite exports/saved_model --images=photos
python benchmark.py a.tflite b.tflite --output_dir=out --scores=a.tflite=0.598 \
      --scores=b.tflite=runs/b/eval/report.json --profile

Models take turns on the same images; ratios are to the first. --adb measures TFLite files also on
the connected phone, with benchmark_model in /data/local/tmp.
"""

import sys

from absl import flags

from mosaic import cli
from mosaic.utils.atomic_io import check_writable


def main(values: cli.Values, bindings: list[str], models: list[str]) -> None:
    """Measures."""
    del bindings  # it reads no configuration
    size = cli.parse_size(values.size)
    if values.output_dir:
        check_writable(values.output_dir)
    from mosaic.benchmark import report
    from mosaic.benchmark.latency import use_threads
    from mosaic.benchmark.measure import benchmark
    from mosaic.utils.provenance import command

    settings = {name: getattr(values, name) for name in ("threads", "runs", "warmup", "images")}
    if values.threads > 0:
        use_threads(values.threads)
    results = benchmark(
        models,
        size=size,
        scores=values.scores,
        profile=values.profile,
        adb=values.adb,
        allow_code=values.allow_code,
        **settings,
    )
    print(report.table(results))
    if values.output_dir:
        written = report.save(results, values.output_dir, command(), settings)
        print(f"see {' and '.join(map(str, written))}")


if __name__ == "__main__":
    FLAGS = cli.common_flags("allow_code")
    flags.DEFINE_multi_string("images", [], "Images, folders or videos.", flag_values=FLAGS)
    flags.DEFINE_string("size", None, "HEIGHTxWIDTH for models that take any.", flag_values=FLAGS)
    flags.DEFINE_integer("threads", 2, "Of each model's computation.", flag_values=FLAGS)
    flags.DEFINE_integer("runs", 50, "Timed runs of each model.", flag_values=FLAGS)
    flags.DEFINE_integer("warmup", 5, "Runs before them.", flag_values=FLAGS)
    flags.DEFINE_string("output_dir", None, "Folder for JSON and plot.", flag_values=FLAGS)
    flags.DEFINE_multi_string(
        "scores", [], "MODEL=MIOU or MODEL=report.json; repeatable.", flag_values=FLAGS
    )
    flags.DEFINE_bool("profile", False, "Time TFLite's operators.", flag_values=FLAGS)
    flags.DEFINE_bool("adb", False, "Measure on the connected phone too.", flag_values=FLAGS)
    sys.exit(cli.run(__doc__, FLAGS, main, takes_more=True, takes_gin=False))
