"""Why the network decided so: explainers over a predict function, their figures and records.

Nothing here knows how a network is made: an explainer sees one image and the ways of asking in
:class:`fakd_jax.explanation.result.Network`. LIME (:mod:`fakd_jax.explanation.lime`) is the
paper's method; another one needs a class like it and a line in
:data:`fakd_jax.explanation.registry.EXPLAINERS`.
"""
