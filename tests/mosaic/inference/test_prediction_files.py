"""Predictions as files: labels, overlays, videos, confidence and the shares of the classes."""

import csv
import json
import os
import threading

import cv2
import numpy as np
import pytest
import tensorflow as tf
from pictures import half_red, red_video

from mosaic.inference import image_files
from mosaic.inference.prediction_files import Options, folders, predict
from mosaic.inference.predictors import Predictor
from mosaic.utils import class_names, png
from mosaic.utils.errors import UserError

# Class 1 where red is above 127, else 0.
RED = Predictor(lambda images: tf.cast(images[..., 0] > 127, tf.int32), "tflite", None)
LOGITS = Predictor(lambda images: tf.cast(images[..., :2], tf.float32) / 255, "network", 2)
CLASSES = class_names.Classes(("left", "right"), ((0, 0, 255), (0, 255, 0)))


def test_images_folders_and_videos(tmp_path):
    half_red(tmp_path / "in" / "a.png")
    half_red(tmp_path / "in" / "city" / "b.jpg", (12, 16))
    (tmp_path / "in" / "notes.txt").write_text("no image")
    red_video(tmp_path / "drive.avi", 3)
    sources = image_files.find([str(tmp_path / "in"), str(tmp_path / "drive.avi")])
    assert predict(RED, sources, str(tmp_path / "out")) == 5
    written = {
        p.relative_to(tmp_path / "out" / "labels").as_posix(): cv2.imread(str(p), -1)
        for p in (tmp_path / "out" / "labels").rglob("*.png")
    }
    frames = [f"drive_{index:06}.png" for index in range(3)]
    assert sorted(written) == ["a.png", "city/b.png", *frames]
    assert written["a.png"].dtype == np.uint8
    np.testing.assert_array_equal(written["a.png"], np.repeat([[1, 0]], 15, 1).repeat(20, 0))
    assert written["city/b.png"].shape == (12, 16)
    assert np.all(written["drive_000002.png"] == 1)
    overlay = cv2.imread(str(tmp_path / "out" / "overlays" / "city" / "b.png"))
    assert overlay.shape[1] == 2 * 16
    assert overlay.shape[0] > 12


def test_a_size_that_the_model_does_not_take_is_refused(tmp_path):
    half_red(tmp_path / "a.png")
    sources = image_files.find([str(tmp_path / "a.png")])
    predictor = Predictor(RED.run, "tflite", None, input_size=(20, 30))
    with pytest.raises(UserError, match=r"^--size=9x9: the model takes images of 20x30 only"):
        predict(predictor, sources, str(tmp_path), options=Options((9, 9)))
    assert predict(predictor, sources, str(tmp_path), options=Options((20, 30))) == 1


def test_video_without_a_number_of_frames(tmp_path, capsys):
    """As streams have it: frames one after the other, without a header."""
    frame = cv2.imencode(".jpg", np.full((24, 32, 3), (0, 0, 255), np.uint8))[1].tobytes()
    (tmp_path / "drive.mkv").write_bytes(3 * frame)
    (source,) = image_files.find([str(tmp_path / "drive.mkv")])
    assert source.frames is None
    assert predict(RED, [source], str(tmp_path)) == 3
    assert "warning" not in capsys.readouterr().err


def test_video_that_ends_early(tmp_path, capsys):
    path = red_video(tmp_path / "drive.avi", 8)
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"\xff\xd8") - 8])
    (source,) = image_files.find([str(path)])
    count = predict(RED, [source], str(tmp_path))
    assert 0 < count < 8
    lines = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert lines == [f"warning: {path}: {count} frames could be read of the 8 that its header has"]


def test_names_and_colours(tmp_path):
    half_red(tmp_path / "a.png", (40, 200))
    predict(RED, image_files.find([str(tmp_path / "a.png")]), str(tmp_path), CLASSES)
    overlay = cv2.imread(str(tmp_path / "overlays" / "a.png"))[:40, 200:]
    # Red under green on the left; black under blue on the right.
    assert overlay[20, 20].argmax() == 1
    assert overlay[20, 180].argmax() == 0


def test_too_few_names(tmp_path):
    sources = image_files.find([str(half_red(tmp_path / "a.png"))])
    one = class_names.Classes(("only",), ((1, 2, 3),))
    with pytest.raises(UserError, match="class 1 came out"):
        predict(RED, sources, str(tmp_path), one)


def test_an_image_that_is_too_small_is_named(tmp_path):
    def check(height, width):
        raise UserError(f"images of {height}x{width} are too small")

    sources = image_files.find([str(half_red(tmp_path / "a.png"))])
    predictor = Predictor(RED.run, "network", 2, check=check)
    with pytest.raises(UserError, match=r"a\.png: images of 20x30 are too small .--size"):
        predict(predictor, sources, str(tmp_path))


def test_more_classes_than_an_image_holds(tmp_path):
    many = Predictor(lambda images: tf.fill(tf.shape(images)[:3], 256), "tflite", None)
    sources = image_files.find([str(half_red(tmp_path / "a.png"))])
    with pytest.raises(UserError, match=r"a\.png: .* 256 classes at most"):
        predict(many, sources, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_video_of_overlays(tmp_path, capfd):
    """Of the source's rate, classes over frames; pictures of frames only where they are wanted."""
    red_video(tmp_path / "drive.avi", 3, rate=10)
    sources = image_files.find([str(tmp_path / "drive.avi")])
    assert predict(RED, sources, str(tmp_path), CLASSES, Options(frames=False)) == 3
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"overlays"}
    video = cv2.VideoCapture(str(tmp_path / "overlays" / "drive.webm"))
    frames = [video.read()[1] for _ in range(3)]
    assert video.get(cv2.CAP_PROP_FPS) == 10
    assert not video.read()[0]
    # Red under green.
    assert frames[2].shape == (24, 32, 3)
    assert np.all(np.abs(frames[2][12, 16].astype(int) - (0, 153, 102)) < 12)
    assert not (tmp_path / "labels").exists()
    assert [path.name for path in (tmp_path / "overlays").iterdir()] == ["drive.webm"]
    assert capfd.readouterr().err.splitlines()[1:] == []


def test_shares_of_the_classes(tmp_path):
    half_red(tmp_path / "a.png")
    half_red(tmp_path / "city, north" / "b.png", (8, 4), red=1.0)
    sources = image_files.find([str(tmp_path)])
    predict(RED, sources, str(tmp_path / "out"), CLASSES)
    with open(tmp_path / "out" / "class_fractions.csv", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["name"] for row in rows] == ["a", "city, north/b"]
    assert [(row["left"], row["right"]) for row in rows] == [("0.5", "0.5"), ("0", "1")]
    assert (rows[1]["height"], rows[1]["width"]) == ("8", "4")
    content = json.loads((tmp_path / "out" / "class_fractions.json").read_text())
    assert content["classes"] == ["left", "right"]
    assert content["images"][1] == {
        "name": "city, north/b",
        "file": str(tmp_path / "city, north" / "b.png"),
        "height": 8,
        "width": 4,
        "fractions": {"right": 1.0},
    }


def test_what_was_done_before_an_error_has_its_shares(tmp_path):
    half_red(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no png")
    with pytest.raises(UserError, match=r"b\.png: not a readable image"):
        predict(RED, image_files.find([str(tmp_path)]), str(tmp_path / "out"))
    lines = (tmp_path / "out" / "class_fractions.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == ["name", "a"]


def test_confidence(tmp_path):
    """Logits of 1 and 0 give 0.731, equal ones 0.5."""
    sources = image_files.find([str(half_red(tmp_path / "a.png"))])
    predict(LOGITS, sources, str(tmp_path), CLASSES, Options(confidence=True))
    found = cv2.imread(str(tmp_path / "confidence" / "a.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(found, np.repeat([[186, 128]], 15, 1).repeat(20, 0))
    (image,) = json.loads((tmp_path / "class_fractions.json").read_text())["images"]
    assert image["mean_confidence"] == pytest.approx((186 + 128) / 2 / 255)


def test_class_indices_have_no_confidence(tmp_path):
    sources = image_files.find([str(half_red(tmp_path / "a.png"))])
    with pytest.raises(UserError, match=r"class indices alone, .* --output=logits"):
        predict(RED, sources, str(tmp_path / "out"), None, Options(confidence=True))
    assert not (tmp_path / "out").exists()


def test_overlays_of_large_images_are_smaller(tmp_path):
    sources = image_files.find([str(half_red(tmp_path / "a.png", (1100, 8000)))])
    predict(RED, sources, str(tmp_path))
    labels = cv2.imread(str(tmp_path / "labels" / "a.png"), cv2.IMREAD_UNCHANGED)
    assert labels.shape == (1100, 8000) and np.all(labels[:, 3999:4001] == (1, 0))
    assert cv2.imread(str(tmp_path / "overlays" / "a.png")).shape[1] == 2 * 5523


def test_the_next_image_is_segmented_while_one_is_written(tmp_path, monkeypatch):
    """The first is only written when the model has been given the second."""
    second = threading.Event()
    encode = png.encode

    def waiting(picture):
        assert picture.shape[0] != 20 or second.wait(60)
        return encode(picture)

    def run(images):
        if images.shape[1] == 30:
            second.set()
        return tf.zeros(images.shape[:3], tf.int32)

    monkeypatch.setattr(png, "encode", waiting)
    half_red(tmp_path / "in" / "a.png")
    half_red(tmp_path / "in" / "b.png", (30, 20))
    predictor = Predictor(run, "tflite", None, traceable=False)
    assert predict(predictor, image_files.find([str(tmp_path / "in")]), str(tmp_path / "out")) == 2


def test_two_videos_in_a_row_have_a_file_each(tmp_path):
    for name, frames in (("a", 3), ("b", 2)):
        red_video(tmp_path / f"{name}.avi", frames)
    half_red(tmp_path / "c.png")
    predict(RED, image_files.find([str(tmp_path)]), str(tmp_path / "out"))
    videos = image_files.find([str(tmp_path / "out" / "overlays" / f"{n}.webm") for n in "ab"])
    assert [len(list(image_files.read(video))) for video in videos] == [3, 2]


def test_a_photograph_that_is_cut_into_tiles_is_told_once(tmp_path, capsys):
    for name in "ab":
        half_red(tmp_path / f"{name}.png", (1500, 3000))
    predictor = Predictor(RED.run, "network", 2, check=lambda height, width: None)
    sources = image_files.find([str(tmp_path)])
    predict(predictor, sources, str(tmp_path / "out"))
    lines = [line for line in capsys.readouterr().err.splitlines() if "--size" in line]
    assert [line.partition(": 1500x3000 pixels, in tiles")[0] for line in lines] == [
        str(tmp_path / "a.png")
    ]
    predict(predictor, sources, str(tmp_path / "out"), options=Options((96, 128)))
    assert "--size" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "options", "kinds"),
    [
        (["a.png"], Options(), "labels overlays"),
        (["a.png"], Options(confidence=True), "labels overlays confidence"),
        (["a.png"], Options(frames=False), "labels overlays"),
        (["a.avi"], Options(frames=False, confidence=True), "overlays"),
        (["a.avi", "b.png"], Options(frames=False), "labels overlays"),
    ],
)
def test_folders_are_those_that_are_written(tmp_path, names, options, kinds):
    """Not those that an earlier call left."""
    for kind in ("labels", "confidence"):
        (tmp_path / kind).mkdir()
    sources = []
    for name in names:
        make = red_video if name.endswith("avi") else half_red
        make(tmp_path / name, *([2] if make is red_video else []))
        sources += image_files.find([str(tmp_path / name)])
    predict(LOGITS, sources, str(tmp_path), CLASSES, options)
    found = folders(sources, str(tmp_path), options)
    assert [os.path.basename(folder) for folder in found] == kinds.split()
    written = {path.name for path in tmp_path.iterdir() if path.is_dir() and any(path.iterdir())}
    assert written == set(kinds.split())
