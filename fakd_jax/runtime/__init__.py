"""The process and the machine: the allocator, atomic files and asynchronous dispatch.

Holds what every package needs and no package owns.
May import :mod:`fakd_jax.errors` alone of this package.
"""
