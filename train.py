r"""Trains a network as an experiment says, or goes on where the run in --model_dir stopped.

python train.py --gin_file=quickstart --model_dir=runs/quickstart
python train.py --gin_file=mosaic_camvid --data_dir=CAMVID --model_dir=runs/camvid \
      --gin.BATCH_SIZE=4
python train.py --gin_file=mosaic_camvid --show_config
"""

import sys

from absl import flags

from mosaic import cli


def main(values: cli.Values, bindings: list[str]) -> None:
    """Trains."""
    unneeded = cli.NO_FILES if values.show_config else ()
    needed = [] if values.model_dir else cli.lacking(values, "gin_file")
    needed += [] if values.show_config else cli.lacking(values, "model_dir")
    cli.check_complete(values, bindings, needed, unneeded)
    if not values.show_config:
        cli.check_writable(values.model_dir)
    files = cli.experiment_files(values)
    cli.configure(files, bindings, values.data_dir, unneeded)
    from mosaic.training import dry_run, warm_up
    from mosaic.training.train_loop import run

    warm_up.limit(files, bindings)
    if values.show_config:
        print(dry_run.show())
    else:
        run(values.model_dir)


if __name__ == "__main__":
    FLAGS = cli.common_flags("gin_file", "model_dir", "data_dir", "allow_code")
    flags.DEFINE_bool(
        "show_config",
        False,
        "Only print the configuration, the network, its cost, memory and schedule; reads no data.",
        flag_values=FLAGS,
    )
    sys.exit(cli.run(__doc__, FLAGS, main))
