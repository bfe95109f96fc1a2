"""Images, folders and videos: what is found, read, segmented and written."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from mosaic.inference import image_files
from mosaic.inference.predictors import Predictor
from mosaic.utils import class_names
from mosaic.utils.errors import UserError

# Class 1 where red is above 127, else 0.
RED = Predictor(lambda images: tf.cast(images[..., 0] > 127, tf.int32), "tflite", None)


def _image(path, size=(20, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.zeros((*size, 3), np.uint8)
    image[:, : size[1] // 2, 2] = 255
    cv2.imwrite(str(path), image)
    return path


def test_images_folders_and_videos(tmp_path):
    _image(tmp_path / "in" / "a.png")
    _image(tmp_path / "in" / "city" / "b.jpg", (12, 16))
    (tmp_path / "in" / "notes.txt").write_text("no image")
    video = cv2.VideoWriter(
        str(tmp_path / "drive.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5, (32, 24)
    )
    for _ in range(3):
        video.write(np.full((24, 32, 3), (0, 0, 255), np.uint8))
    video.release()
    sources = image_files.find([str(tmp_path / "in"), str(tmp_path / "drive.avi")])
    assert image_files.predict(RED, sources, str(tmp_path / "out")) == 5
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


def test_video_without_a_number_of_frames(tmp_path, capsys):
    """As streams have it: frames one after the other, without a header."""
    frame = cv2.imencode(".jpg", np.full((24, 32, 3), (0, 0, 255), np.uint8))[1].tobytes()
    (tmp_path / "drive.mkv").write_bytes(3 * frame)
    (source,) = image_files.find([str(tmp_path / "drive.mkv")])
    assert source.frames is None
    assert image_files.predict(RED, [source], str(tmp_path)) == 3
    assert "warning" not in capsys.readouterr().err


def test_video_that_ends_early(tmp_path, capsys):
    path = tmp_path / "drive.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (32, 24))
    for _ in range(8):
        video.write(np.full((24, 32, 3), (0, 0, 255), np.uint8))
    video.release()
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"\xff\xd8") - 8])
    (source,) = image_files.find([str(path)])
    count = image_files.predict(RED, [source], str(tmp_path))
    assert 0 < count < 8
    lines = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert lines == [f"warning: {path}: {count} frames could be read of the 8 that its header has"]


def test_names_and_colours(tmp_path):
    _image(tmp_path / "a.png", (40, 200))
    known = class_names.Classes(("left", "right"), ((0, 0, 255), (0, 255, 0)))
    image_files.predict(RED, image_files.find([str(tmp_path / "a.png")]), str(tmp_path), known)
    overlay = cv2.imread(str(tmp_path / "overlays" / "a.png"))[:40, 200:]
    # Red under green on the left; black under blue on the right.
    assert overlay[20, 20].argmax() == 1
    assert overlay[20, 180].argmax() == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "no such file or folder"),
        (lambda folder: folder.mkdir(), "no image or video"),
    ],
)
def test_nothing_to_segment(tmp_path, make, message):
    make(tmp_path / "in")
    with pytest.raises(UserError, match=message):
        image_files.find([str(tmp_path / "in")])


def test_two_of_one_name(tmp_path):
    _image(tmp_path / "x" / "a.png")
    _image(tmp_path / "y" / "a.png")
    with pytest.raises(UserError, match=r"would both be written as a\.png"):
        image_files.find([str(tmp_path / "x"), str(tmp_path / "y")])


def test_unreadable_files(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no png")
    (source,) = image_files.find([str(tmp_path / "a.png")])
    with pytest.raises(UserError, match=r"a\.png: not a readable image"):
        list(image_files.read(source))
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match=r"a\.mp4: not a readable video"):
        image_files.find([str(tmp_path / "a.mp4")])


def test_too_few_names(tmp_path):
    sources = image_files.find([str(_image(tmp_path / "a.png"))])
    one = class_names.Classes(("only",), ((1, 2, 3),))
    with pytest.raises(UserError, match="class 1 came out"):
        image_files.predict(RED, sources, str(tmp_path), one)


def test_an_image_that_is_too_small_is_named(tmp_path):
    def check(height, width):
        raise UserError(f"images of {height}x{width} are too small")

    sources = image_files.find([str(_image(tmp_path / "a.png"))])
    predictor = Predictor(RED.run, "network", 2, check=check)
    with pytest.raises(UserError, match=r"a\.png: images of 20x30 are too small .--size"):
        image_files.predict(predictor, sources, str(tmp_path))


def test_hidden_files_are_left_out_and_links_followed(tmp_path):
    _image(tmp_path / "elsewhere" / "b.png")
    _image(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "._a.png").write_bytes(b"macOS")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    found = image_files.find([str(tmp_path / "in")])
    assert [source.name for source in found] == ["a", "linked/b"]


def test_an_image_called_like_a_frame_is_refused(tmp_path):
    frame = cv2.imencode(".jpg", np.zeros((24, 32, 3), np.uint8))[1].tobytes()
    (tmp_path / "drive.mkv").write_bytes(2 * frame)
    _image(tmp_path / "drive_1.png")
    assert len(image_files.find([str(tmp_path)])) == 2
    _image(tmp_path / "drive_000001.png")
    with pytest.raises(UserError, match=r"drive_000001\.png would be written as a frame of .*mkv"):
        image_files.find([str(tmp_path)])


def test_more_classes_than_an_image_holds(tmp_path):
    many = Predictor(lambda images: tf.fill(tf.shape(images)[:3], 256), "tflite", None)
    sources = image_files.find([str(_image(tmp_path / "a.png"))])
    with pytest.raises(UserError, match=r"a\.png: .* 256 classes at most"):
        image_files.predict(many, sources, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
