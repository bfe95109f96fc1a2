r"""Exports a checkpoint as SavedModel and TFLite, each checked on real images, or to the Garden.

python export.py --model_dir=runs/quickstart --export_dir=exports
python export.py --gin_file=mosaic_cityscapes --checkpoint=CKPT --data_dir=DIR \
      --export_dir=exports --format=tflite --output=labels --size=1024x2048
python export.py --gin_file=mosaic_ade20k_top31 --checkpoint=FILE.tflite --images=photos \
      --label_map=ade20k_top31 --export_dir=exports
python export.py --model_dir=runs/camvid --export_dir=exports --format=garden_checkpoint
python export.py --model_dir=runs/camvid --export_dir=exports --quantize=float16,int8 --evaluate
python export.py --model_dir=runs/own --export_dir=exports --for=mediapipe --quantize=float16
"""

import sys

from absl import flags

from mosaic import cli

_OF_FILES = ("quantize", "size", "output", "input_type")


def main(values: cli.Values, bindings: list[str]) -> None:
    """Exports."""
    for name in ("format", "quantize"):
        if values[name].present and not any(getattr(values, name)):
            raise cli.UserError(f"--{name}=: name at least one, see --help, or leave it out")
    formats = values.format
    if values["for"].present and not values["format"].present:
        formats = ["tflite"]
    if "tflite" not in formats:
        for name in ("for", *_OF_FILES):
            if values[name].present:
                raise cli.UserError(f"--{name} is for TFLite files; add tflite to --format")
    _check_images(values)
    given = {name: getattr(values, name) for name in _OF_FILES if values[name].present}
    if values.size:
        given["size"] = cli.parse_size(values.size)
    from mosaic.export import readers

    options = readers.options(getattr(values, "for"), given)
    # CROP_SIZE may be the size of the photographs.
    unneeded = cli.NO_DATA if values.images else cli.NOT_TRAINING
    needed = cli.lacking(values, "export_dir")
    needed += cli.lacking_model(values, "gin_file", "checkpoint")
    cli.check_complete(values, bindings, needed, unneeded)
    files, checkpoint, _ = cli.checkpoint_and_output(values)
    _check_data(values, files, bindings)
    cli.configure(files, bindings, values.data_dir, unneeded)
    if cli.inference_devices() is None:
        return
    from data.label_map import LabelMap
    from mosaic.export.export_checkpoint import export_checkpoint
    from mosaic.utils.class_names import Classes

    named = Classes.of(LabelMap.named(values.label_map)) if values.label_map else None
    export_checkpoint(
        checkpoint,
        values.export_dir,
        formats,
        **options,
        evaluate=values.evaluate,
        photographs=values.images,
        classes=named,
    )


def _check_data(values: cli.Values, files: list[str], bindings: list[str]) -> None:
    """Raises a UserError where there are no images at all; photographs serve as well as data."""
    from mosaic import config

    if not (values.images or values.data_dir) and "DATA_DIR" in config.missing(files, bindings):
        told = f"{files[-1]} needs images: give --data_dir=DIR, its data set"
        if cli.takes_photographs(values):
            told += ", or --images=FOLDER, photographs for the checks"
        raise cli.UserError(told)


def _check_images(values: cli.Values) -> None:
    """Raises a UserError where flags of photographs contradict those of a data set."""
    if values.label_map and not values.images:
        raise cli.UserError("--label_map is for --images; a data set has its own names")
    for name in ("data_dir", "evaluate") if values.images else ():
        if getattr(values, name):
            raise cli.UserError(f"--images has no truth, and --{name} needs it: leave one out")


if __name__ == "__main__":
    FLAGS = cli.common_flags("gin_file", "model_dir", "data_dir", "checkpoint", "allow_code")
    flags.DEFINE_string("export_dir", None, "Folder for the exports.", flag_values=FLAGS)
    flags.DEFINE_list(
        "format",
        "saved_model,tflite",
        "saved_model, tflite, checkpoint (as this project trains on), garden_checkpoint (as the "
        "Model Garden's own code restores it).",
        flag_values=FLAGS,
    )
    flags.DEFINE_list(
        "quantize",
        None,
        "none (the default), float16, dynamic, int8, or all; after quantization-aware training "
        "only int8.",
        flag_values=FLAGS,
    )
    flags.DEFINE_enum(
        "for",
        None,
        ["mediapipe", "litert", "mlperf"],
        "Who reads the TFLite file: chooses output, input and size that it takes.",
        flag_values=FLAGS,
    )
    flags.DEFINE_string(
        "size",
        None,
        "TFLite's input, HEIGHTxWIDTH; by default what the experiment scores at, or its crops'.",
        flag_values=FLAGS,
    )
    flags.DEFINE_enum(
        "output",
        "logits",
        ["logits", "logits_stride4", "labels"],
        "TFLite's output: logits at full size or a quarter of it, or class indices.",
        flag_values=FLAGS,
    )
    flags.DEFINE_enum(
        "input_type",
        "uint8",
        ["uint8", "int8"],
        "Input of int8 TFLite files: the image's bytes, or those less 128.",
        flag_values=FLAGS,
    )
    flags.DEFINE_bool(
        "evaluate",
        False,
        "Also score each export and its network on the whole evaluation split.",
        flag_values=FLAGS,
    )
    flags.DEFINE_multi_string(
        "images",
        [],
        "Photographs or folders of them in the place of a data set: for checks and int8 ranges.",
        flag_values=FLAGS,
    )
    flags.DEFINE_string(
        "label_map",
        None,
        "With --images: a name in data/labels or a file. Default: the checkpoint's own names.",
        flag_values=FLAGS,
    )
    sys.exit(cli.run(__doc__, FLAGS, main, unused=cli.OF_TRAINING))
