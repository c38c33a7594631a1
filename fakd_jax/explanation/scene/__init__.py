"""What a method is given: the image, its head, superpixels and infill.

Holds the scene, its builder and lesion masks.
NumPy, SciPy and scikit-image; may import data and errors.
"""
