"""What exported files cost: computation, latency, memory, here and on a phone.

How well they segment is `mosaic.evaluation`.
"""
