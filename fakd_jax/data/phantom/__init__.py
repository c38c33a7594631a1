"""Synthetic brain MRI: head phantoms with lesions and their masks.

Anatomy, lesions, shapes and drawing; `dataset` writes the class folders.
NumPy and Pillow; may import data.scanning and errors.
"""
