"""Data: sources, preparation as records, splits, batches and augmentation."""
