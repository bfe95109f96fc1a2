"""Reading TFLite files: tensors and operators, metadata, a graph, a network's weights.

Running a file is `mosaic.inference`, writing one `mosaic.export`.
"""
