"""The command `fakd convert`: PyTorch weights to a checkpoint.

May import the networks, data's preprocessing and what is below them; commands alone import it.
"""
