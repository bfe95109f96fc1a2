"""Street scenes drawn by program: the embedded data set, with Cityscapes' 19 classes."""

from data.street_scenes.builder import street_scenes

__all__ = ["street_scenes"]
