r"""Trains a network as an experiment says, or goes on where the run in --model_dir stopped.

python train.py --gin_file=quickstart --model_dir=runs/quickstart
python train.py --gin_file=mosaic_camvid --data_dir=CAMVID --model_dir=runs/camvid \
      --gin.BATCH_SIZE=4
"""

import sys

from mosaic import cli
from mosaic.utils.atomic_io import check_writable


def main(values: cli.Values, bindings: list[str]) -> None:
    """Trains."""
    if not values.model_dir:
        raise cli.UserError("give --model_dir=DIR, the folder for what the run writes")
    check_writable(values.model_dir)
    files = cli.experiment_files(values)
    cli.configure(files, bindings, values.data_dir)
    from mosaic.training import warm_up
    from mosaic.training.train_loop import run

    warm_up.limit(files, bindings)
    run(values.model_dir)


if __name__ == "__main__":
    sys.exit(
        cli.run(__doc__, cli.common_flags("gin_file", "model_dir", "data_dir", "allow_code"), main)
    )
