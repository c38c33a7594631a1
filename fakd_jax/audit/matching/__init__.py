"""Duplicate search: candidates by appearance, confirmation by registration.

NumPy arrays of pixels in, pairs of images out.
May import data, reporting.numbers, runtime, inference.batching and its own modules.
"""
