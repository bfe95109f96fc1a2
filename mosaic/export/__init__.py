"""Exports: SavedModel, TFLite and the Model Garden's checkpoints, each checked.

Reading them back is `mosaic.inference`, `mosaic.tflite` and `mosaic.checkpoints`.
"""
