"""Packaged configs, installed as `fakd_jax.configs`: each has `get_config(variant="")`."""
