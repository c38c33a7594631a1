"""What a run leaves behind: the names of its files, its split, its records and its data.

May import data, models, runtime and errors.
"""
