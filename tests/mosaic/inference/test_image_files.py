"""Images, folders and videos: what is found and read."""

import os

import cv2
import numpy as np
import pytest
from pictures import half_red, red_video

from mosaic.inference import image_files
from mosaic.utils.errors import UserError


def test_frames_and_their_rate(tmp_path):
    red_video(tmp_path / "drive.avi", 3, rate=5)
    half_red(tmp_path / "a.png")
    drive, image = image_files.find([str(tmp_path / "drive.avi"), str(tmp_path / "a.png")])
    assert (drive.frames, drive.rate) == (3, 5.0)
    assert (image.frames, image.rate) == (1, 0.0)
    names = [name for name, frame in image_files.read(drive)]
    assert names == ["drive_000000", "drive_000001", "drive_000002"]


def test_an_image_is_read_in_rgb(tmp_path):
    image = image_files.read_image(half_red(tmp_path / "a.png"))
    np.testing.assert_array_equal(image[5, [0, 29]], [[255, 0, 0], [0, 0, 0]])


def test_one_file_twice_is_one_source(tmp_path):
    half_red(tmp_path / "a.png")
    found = image_files.find([str(tmp_path), str(tmp_path / "a.png")])
    assert [source.name for source in found] == ["a"]


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
    half_red(tmp_path / "x" / "a.png")
    half_red(tmp_path / "y" / "a.png")
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


def test_pipes_devices_and_links_that_lead_back(tmp_path):
    half_red(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in")
    (tmp_path / "other").mkdir()
    (tmp_path / "in" / "other").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "back").symlink_to(tmp_path / "in")  # through two links
    assert [source.name for source in image_files.find([str(tmp_path / "in")])] == ["a"]
    os.mkfifo(tmp_path / "in" / "b.png")
    with pytest.raises(UserError, match=r"b\.png: a pipe or a device, which is not read"):
        image_files.find([str(tmp_path / "in")])
    with pytest.raises(UserError, match=r"b\.png: a pipe or a device"):
        image_files.read_image(tmp_path / "in" / "b.png")


def test_names_that_are_no_text_are_told(tmp_path):
    """OpenCV crashes on them."""
    (tmp_path / os.fsdecode(b"stra\xdfe.png")).touch()
    with pytest.raises(UserError, match=r"stra\\xdfe\.png': the name is not UTF-8; rename it"):
        image_files.find([str(tmp_path)])


def test_hidden_files_are_left_out_and_links_followed(tmp_path):
    half_red(tmp_path / "elsewhere" / "b.png")
    half_red(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "._a.png").write_bytes(b"macOS")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    found = image_files.find([str(tmp_path / "in")])
    assert [source.name for source in found] == ["a", "linked/b"]


def test_an_image_called_like_a_frame_is_refused(tmp_path):
    frame = cv2.imencode(".jpg", np.zeros((24, 32, 3), np.uint8))[1].tobytes()
    (tmp_path / "drive.mkv").write_bytes(2 * frame)
    half_red(tmp_path / "drive_1.png")
    assert len(image_files.find([str(tmp_path)])) == 2
    half_red(tmp_path / "drive_000001.png")
    with pytest.raises(UserError, match=r"drive_000001\.png would be written as a frame of .*mkv"):
        image_files.find([str(tmp_path)])


def test_a_photograph_that_is_cut_off_is_told_by_name(tmp_path, capfd):
    path = half_red(tmp_path / "a.jpg", (200, 300))
    path.write_bytes(path.read_bytes()[:-200])
    assert image_files.read_image(path).shape == (200, 300, 3)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"warning: {path}: damaged, and read in part (Premature end")


def test_nothing_but_our_line_is_said_of_a_broken_video(tmp_path, capfd):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match=r"a\.mp4: not a readable video"):
        image_files.find([str(tmp_path / "a.mp4")])
    assert capfd.readouterr().err == ""
