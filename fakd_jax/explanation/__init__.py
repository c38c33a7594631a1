"""Why the network decided so: explainers over a predict function, their figures and records.

Nothing here knows a network: an explainer sees one image and a function from uint8 images
``[N, H, W, 3]`` to probabilities ``[N, C]``. LIME (:mod:`fakd_jax.explanation.lime`) is the
paper's method; another one needs a class like it and a line in
:data:`fakd_jax.explanation.registry.EXPLAINERS`.
"""
