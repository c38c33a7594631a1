"""The paper's contribution: losses, feature alignment, and the objective that combines them.

Pure functions of arrays; may import nothing else of fakd_jax.
"""
