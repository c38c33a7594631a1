"""How results are shown: pages, figures and text tables.

Knows nothing of what it shows.
May import errors and runtime alone of this package.
"""
