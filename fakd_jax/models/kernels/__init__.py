"""Fast layers: depthwise, dense, Winograd, pooling and batch norm, with their gradients.

Each equals XLA's own operation in value; `compilation` holds the compiler options.
May import jax and flax alone.
"""
