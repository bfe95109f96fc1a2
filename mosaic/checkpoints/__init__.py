"""Checkpoints of this project and of the Model Garden: read into networks, and kept in run folders.

The name tables of forms that others published stand here.
"""
