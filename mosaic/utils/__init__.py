"""What every room may use: errors, files written whole, the layout of run folders, names, pictures.

Nothing here knows networks, TensorFlow or gin.
"""
