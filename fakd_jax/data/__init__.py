"""Data: sources, preparation as records, splits, batches, augmentation and preprocessing.

May import runtime and errors; never models or training.
"""
