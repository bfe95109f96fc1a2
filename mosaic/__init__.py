"""Networks, training, evaluation and export for mobile semantic segmentation."""
