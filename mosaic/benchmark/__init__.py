"""The cost of exported files: computation, latency and memory, here and on a phone.

How well they segment is measured in `mosaic.evaluation`.
"""
