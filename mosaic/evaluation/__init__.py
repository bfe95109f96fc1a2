"""How well a network segments: one loop over a split, metrics, published results, reports.

How fast it is, is measured in `mosaic.benchmark`.
"""
