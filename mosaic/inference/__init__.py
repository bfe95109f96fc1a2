"""Whatever segments behind one call: networks, SavedModels and TFLite files, and images for them.

How well one segments is `mosaic.evaluation`.
"""
