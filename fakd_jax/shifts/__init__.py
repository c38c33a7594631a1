"""Shifts between scanners, windows, exports and resolutions, as pure functions of image batches.

`families.FAMILIES` names them; all run inside jit, on any device, with one random key per image.
Imports nothing of this package but errors.
"""
