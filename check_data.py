"""Checks an experiment's data set from end to end, and shows it raw and as training sees it.

python check_data.py --gin_file=mosaic_camvid --data_dir=CAMVID --output_dir=OUT

python check_data.py --data_dir=FOLDER --draft_label_map=labels.json

Lists counts, sizes, class frequencies with the class weights that they suggest, and every problem:
unreadable files, wrong sizes, unknown labels, images without masks and masks without images.
"""

import sys

from absl import flags

from mosaic import cli


def main(values: cli.Values, bindings: list[str]) -> None:
    """Checks, or writes a draft of a label map."""
    if values.draft_label_map:
        _draft(values, bindings)
        return
    needed = cli.lacking(values, "gin_file", "output_dir")
    cli.check_complete(values, bindings, needed, cli.NOT_TRAINING)
    cli.check_writable(values.output_dir)
    cli.configure(
        cli.experiment_files(values, saved=False), bindings, values.data_dir, cli.NOT_TRAINING
    )
    from mosaic import config
    from mosaic.training.data_check import check_fit
    from mosaic.utils import contact_sheet
    from mosaic.utils.numbers import number_of

    found, root = _survey()
    if found.problems:
        lines = "\n".join(f"  {line}" for line in found.problems)
        count = number_of(len(found.problems), "problem")
        print(f"{count}:\n{lines}")
        raise cli.UserError(f"{root}: {count}, listed above")
    dataset = config.build("train.dataset")
    for path in contact_sheet.write(dataset, values.output_dir):
        print(path)
    # Last: the data is not wrong because the configured network does not take it.
    check_fit(config.build("train.model"), dataset, config.build("train.evaluation"))


def _survey():
    """Surveys the configured data set and prints the table; returns the survey and its root."""
    from data import check
    from data.dataset import Dataset
    from mosaic import config
    from mosaic.experiment import configured_dataset
    from mosaic.utils.progress import Progress

    name, settings = configured_dataset(check.SETTINGS)
    source = None
    if name in check.LAYOUTS:
        source = check.layout_of(name, settings.pop("data_dir"), settings)
    if source is None or source.prepared:
        source = config.build("train.dataset")
        if not isinstance(source, Dataset):
            raise cli.UserError(f"{name}: no data set that can be checked")
        found = check.survey_of(source)
    else:
        found = check.survey(source, lambda count: Progress(count, "check", "image"))
    print(check.table(found))
    return found, source.root


def _draft(values: cli.Values, bindings: list[str]) -> None:
    """Writes a label map with what the masks of a folder hold."""
    if values.gin_file or bindings:
        raise cli.UserError(
            "--draft_label_map reads own masks only; leave out --gin_file and --gin"
        )
    if not values.data_dir:
        raise cli.UserError("give --data_dir=DIR, the folder with the images and masks")
    from data import draft_label_map
    from mosaic.utils.progress import Progress

    masks = draft_label_map.masks_of(values.data_dir)
    with Progress(len(masks), "read", "mask") as bar:
        print(draft_label_map.write(bar.over(masks), values.draft_label_map))
    print(
        f"{values.draft_label_map}: a draft; give its classes names, and list in void_labels what"
    )
    print("neither teaches nor counts")


if __name__ == "__main__":
    FLAGS = cli.common_flags("gin_file", "data_dir")
    flags.DEFINE_string("output_dir", None, "Folder for the contact sheets.", flag_values=FLAGS)
    flags.DEFINE_string(
        "draft_label_map",
        None,
        "File to write: a draft of a label map, with what the masks in --data_dir hold.",
        flag_values=FLAGS,
    )
    unused = (*cli.OF_TRAINING, "Evaluation", "Evaluation.input_size", "runtime")
    sys.exit(cli.run(__doc__, FLAGS, main, unused=unused))
