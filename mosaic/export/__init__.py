"""Networks written for others: SavedModel, TFLite, the Model Garden's checkpoints, each checked.

Reading them back is `mosaic.inference`, `mosaic.tflite` and `mosaic.checkpoints`.
"""
