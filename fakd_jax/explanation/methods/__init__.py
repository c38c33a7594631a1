"""The methods of explanation, each an :class:`fakd_jax.explanation.result.Explainer`.

May import scene, quality and inference.network; never reports or the benchmark.
"""
