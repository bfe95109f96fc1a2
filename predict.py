r"""Segments images, folders and videos: label PNGs, overlays with a legend, shares of the classes.

python predict.py --model=runs/camvid --images=photos --output_dir=out
python predict.py --model=mosaic.tflite --images=a.jpg b.jpg drive.mp4 --output_dir=out \
      --label_map=cityscapes
find /data -name '*.jpg' | python predict.py --model=runs/camvid --images=- --output_dir=out

The model may be a run's folder, a checkpoint, a SavedModel folder, or a .tflite file.
"""

import sys

from absl import flags

from mosaic import cli

_IMAGES = (
    "Images, folders, videos, patterns ('photos/*.jpg'), text files (.txt) with one path a line, "
    "or - for such a list from standard input."
)


def main(values: cli.Values, bindings: list[str], more: list[str]) -> None:
    """Predicts."""
    needed = cli.lacking(values, "model", "images", "output_dir")
    # What a network's data set needs is not for this command.
    cli.check_complete(values, bindings, needed, cli.NO_DATA)
    cli.check_writable(values.output_dir)
    size, tile = cli.parse_size(values.size), cli.parse_size(values.tile, "tile")
    path, files = cli.model_and_files(values)
    cli.check_normalization(values, path)
    if files:
        cli.configure(files, bindings, None, cli.NO_DATA)
    elif values.gin_file or bindings:
        flag = "gin_file" if values.gin_file else "gin.NAME"
        raise cli.UserError(f"--{flag} is for checkpoints; {path} runs as it is: leave it out")
    if cli.inference_devices() is None:
        return
    from data.label_map import LabelMap
    from mosaic.experiment import as_configured, load_predictor
    from mosaic.inference import image_files, model_classes, prediction_files
    from mosaic.tflite.model_file import opened
    from mosaic.utils.class_names import Classes
    from mosaic.utils.numbers import listed, number_of

    sources = image_files.find([*values.images, *more])
    model = opened(path)
    known = model_classes.find(model)
    if values.label_map:
        known = Classes.of(LabelMap.named(values.label_map))
    predictor, _ = load_predictor(model, values.normalization, allow_code=values.allow_code)
    if files and not size:
        predictor, size = as_configured(predictor)
    options = prediction_files.Options(size, tile, values.confidence, values.frames)
    count = prediction_files.predict(predictor, sources, values.output_dir, known, options)
    folders = prediction_files.folders(sources, values.output_dir, options)
    print(f"{number_of(count, 'image')}; see {listed(folders)}")


if __name__ == "__main__":
    FLAGS = cli.common_flags("gin_file", "normalization", "allow_code")
    flags.DEFINE_string("model", None, "Run, checkpoint, SavedModel or .tflite.", flag_values=FLAGS)
    flags.DEFINE_multi_string("images", [], _IMAGES, flag_values=FLAGS)
    flags.DEFINE_string("output_dir", None, "Folder for the pictures.", flag_values=FLAGS)
    flags.DEFINE_bool(
        "confidence",
        False,
        "Also write confidence/NAME.png: the probability of each pixel's class, 255 for 1.",
        flag_values=FLAGS,
    )
    flags.DEFINE_bool(
        "frames",
        True,
        "Write pictures of each frame of a video; --noframes leaves the video of overlays alone.",
        flag_values=FLAGS,
    )
    flags.DEFINE_string(
        "label_map",
        None,
        "Names and colours: a name in data/labels or a file. Default: the model's own.",
        flag_values=FLAGS,
    )
    flags.DEFINE_string(
        "size",
        None,
        "The network's input, HEIGHTxWIDTH. Default: the experiment's, or else the image's own.",
        flag_values=FLAGS,
    )
    flags.DEFINE_string(
        "tile",
        None,
        "Cut larger images into overlapping tiles, HEIGHTxWIDTH; 1536x1536 above 2048x2048 pixels "
        "where the network takes images of their own size, or else whole images.",
        flag_values=FLAGS,
    )
    of_data = ("DATA_DIR", "train.dataset", "NUM_CLASSES", "CROP_SIZE", "Augment")
    unused = (*cli.OF_TRAINING, *of_data, "Evaluation")
    sys.exit(cli.run(__doc__, FLAGS, main, takes_more=True, unused=unused))
