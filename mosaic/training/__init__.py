"""Training runs: the loop, the task for the Model Garden's trainer, losses, optimizers, records.

The checkpoints in a run's folder are managed by `mosaic.checkpoints.run_folder`.
"""
