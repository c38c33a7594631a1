"""Why the network decided so: methods of explanation, how far to trust them, and their pictures.

Nothing here knows how a network is made: a method sees a :class:`~.scene.Scene` (an image, its
superpixels, what hides them) and the ways of asking in :class:`~.network.Network`. LIME
(:mod:`fakd_jax.explanation.methods.lime`) is the paper's method; another one needs a class like it
and a line in :data:`fakd_jax.explanation.methods.registry.EXPLAINERS`.
"""
