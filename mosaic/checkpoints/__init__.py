"""Checkpoints of this project and of the Model Garden: loading them, and the folders of runs.

The variable names of other published formats are listed here.
"""
