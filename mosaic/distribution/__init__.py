"""Which devices and workers compute, and how workers come together, agree and end.

Everything here is about processes and devices; nothing knows networks or data sets.
"""
