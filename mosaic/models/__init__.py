"""Networks as plain functional models, their layers, and changes to a network as a whole.

Nothing here reads files: names of published checkpoints are in `mosaic.checkpoints`, TFLite files
in `mosaic.tflite`.
"""
