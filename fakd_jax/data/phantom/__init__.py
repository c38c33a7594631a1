"""Synthetic brain MRI: head phantoms with lesions and their masks.

`dataset` writes the class folders; anatomy and lesions are painted with shapes.
NumPy, SciPy and Pillow; may import errors alone.
"""
