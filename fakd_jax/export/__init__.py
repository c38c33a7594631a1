"""The command `fakd export`: a checkpoint to a format of other software, one module per format.

May import inference and what is below it; commands alone import it.
"""
