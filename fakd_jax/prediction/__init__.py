"""Predictions for many files: named, read, predicted and written in order, in constant memory.

`run` puts it together. Nothing but `jax_runtime` needs JAX, so that another runtime starts fast.
"""
