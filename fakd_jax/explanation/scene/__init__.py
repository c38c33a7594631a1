"""The scene that every method explains: an image, its superpixels and what replaces them.

Holds the scene, its builder and lesion masks. May import inference.network, data and errors.
"""
