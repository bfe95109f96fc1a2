"""Small image files and videos, red in parts."""

import cv2
import numpy as np


def half_red(path, size=(20, 30), red=0.5):
    """Writes an image whose left part, a half or another share, is red and the rest black."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.zeros((*size, 3), np.uint8)
    image[:, : int(size[1] * red), 2] = 255
    cv2.imwrite(str(path), image)
    return path


def red_video(path, frames, rate=5):
    """Writes a video of red frames, 24x32."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, (32, 24))
    for _ in range(frames):
        video.write(np.full((24, 32, 3), (0, 0, 255), np.uint8))
    video.release()
    return path
