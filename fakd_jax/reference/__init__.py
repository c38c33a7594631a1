"""What the training images look like to a network, so that foreign and poor images are named.

An image is *foreign* if its features lie where those of training images do not, and *poor* if its
contrast, sharpness or noise is unlike theirs, or it shows no head. `fit` measures the training
images, `Reference` keeps what is needed of them, and `find_reference` finds it. Nothing but `fit`
needs JAX.
"""

from fakd_jax.reference.find import find_reference
from fakd_jax.reference.reference import Reference

__all__ = ["Reference", "find_reference"]
