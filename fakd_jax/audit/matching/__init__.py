"""Duplicate search: candidates by appearance, confirmation by registration.

NumPy arrays of pixels in, pairs of images out.
May import data, errors and its own modules.
"""
