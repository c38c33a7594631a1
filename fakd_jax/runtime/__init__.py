"""The machine under the program: atomic files and asynchronous dispatch.

Holds what every package needs and no package owns.
May import errors alone of this package.
"""
