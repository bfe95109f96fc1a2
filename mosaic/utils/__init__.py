"""Helpers for all rooms: errors, atomic writing, the layout of run folders, names, pictures.

Nothing here depends on networks, TensorFlow or gin's configuration.
"""
