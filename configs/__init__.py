"""Experiments: each module's `get_config(variant)` returns one. Installed as `fakd_jax.configs`."""
