"""One interface to networks, SavedModels and TFLite files, and the images they segment.

How well they segment is measured in `mosaic.evaluation`.
"""
