"""Scores a network: mIoU, per-class IoU, report.json and report.html, and overlays.

python eval.py --model_dir=runs/quickstart
python eval.py --gin_file=mosaic_cityscapes --checkpoint=CKPT --data_dir=DIR --output_dir=OUT

CKPT may be a checkpoint, ours or the Garden's, a SavedModel folder, or a .tflite file.

python eval.py --compare=runs/a --compare=runs/b --output_dir=OUT

puts reports that were written before side by side, in OUT/compare.html.

python eval.py --model_dir=runs/a --watch

scores each checkpoint of a run while another process trains it.
"""

import sys

from absl import flags

from mosaic import cli


def main(values: cli.Values, bindings: list[str]) -> None:
    """Scores, or compares."""
    if values.compare:
        _compare(values, bindings)
        return
    if values.watch:
        _check_watch(values)
    needed = cli.lacking_model(values, "gin_file", "checkpoint", "output_dir")
    cli.check_complete(values, bindings, needed, cli.NOT_TRAINING)
    if values.watch:
        from mosaic.evaluation.watch import wait_for_start

        wait_for_start(values.model_dir)
    files, checkpoint, output_dir = cli.checkpoint_and_output(
        values, "watch" if values.watch else "eval"
    )
    for folder in filter(None, (output_dir, values.submission_dir)):
        cli.check_writable(folder)
    cli.check_normalization(values, checkpoint, values.as_network)
    cli.configure(files, bindings, values.data_dir, cli.NOT_TRAINING)
    devices = cli.inference_devices(several=True)
    if devices is None:
        return
    from mosaic.evaluation.score_checkpoint import score

    def scored(path: str, folder: str) -> dict:
        return score(
            path,
            folder,
            values.split,
            values.normalization,
            values.as_network,
            values.submission_dir,
            values.allow_code,
            devices,
            values.all_overlays,
        )

    if values.watch:
        from mosaic.evaluation.watch import watch

        watch(values.model_dir, output_dir, scored)
    else:
        scored(checkpoint, output_dir)


def _check_watch(values):
    others = [n for n in ("checkpoint", "as_network", "submission_dir") if values[n].present]
    if others or not values.model_dir:
        raise cli.UserError(
            "--watch scores the checkpoints of a run: give --model_dir=RUN"
            + (f", and leave out --{', --'.join(others)}" if others else "")
        )


def _compare(values, bindings):
    own = ("compare", "output_dir", "debug")
    others = [name for name in values if values[name].present and name not in own]
    others += ["gin"] if bindings else []
    if others:
        raise cli.UserError(f"--compare only reads reports; leave out --{', --'.join(others)}")
    if not values.output_dir:
        raise cli.UserError("give --output_dir=DIR, the folder for compare.html")
    cli.check_writable(values.output_dir)
    from mosaic.evaluation.html_comparison import FILE, compare

    print(compare(values.compare, values.output_dir, cli.original))
    print(f"see {values.output_dir}/{FILE}")


if __name__ == "__main__":
    FLAGS = cli.common_flags(
        *("gin_file", "model_dir", "data_dir", "checkpoint", "normalization", "allow_code")
    )
    flags.DEFINE_string(
        "output_dir",
        None,
        "Folder for the report. Default: MODEL_DIR/eval, with --watch MODEL_DIR/watch.",
        flag_values=FLAGS,
    )
    flags.DEFINE_string(
        "split",
        None,
        "Split to score, such as val. Default: the experiment's.",
        flag_values=FLAGS,
    )
    flags.DEFINE_string(
        "submission_dir",
        None,
        "Folder for predictions as the official scorer takes them.",
        flag_values=FLAGS,
    )
    flags.DEFINE_bool(
        "as_network",
        False,
        "Load a .tflite file into the experiment's network instead of running it as it is.",
        flag_values=FLAGS,
    )
    flags.DEFINE_bool(
        "all_overlays", False, "Draw overlays of all images, not of some.", flag_values=FLAGS
    )
    flags.DEFINE_bool(
        "watch",
        False,
        "Score each checkpoint of --model_dir as it appears, until the run has ended.",
        flag_values=FLAGS,
    )
    flags.DEFINE_multi_string(
        "compare",
        [],
        "Report to put beside others: report.json, its folder or a run's; repeatable.",
        flag_values=FLAGS,
    )
    unused = (*cli.OF_TRAINING, "CROP_SIZE", "Augment")
    sys.exit(cli.run(__doc__, FLAGS, main, unused=unused))
