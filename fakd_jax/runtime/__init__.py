"""The machine below the program: atomic files, digests, compute types, asynchronous dispatch.

Holds what every package needs and no package owns.
Imports nothing of this package but errors.
"""
