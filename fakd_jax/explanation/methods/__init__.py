"""The methods of explanation, all with the interface of :class:`fakd_jax.explanation.result.Explainer`."""
