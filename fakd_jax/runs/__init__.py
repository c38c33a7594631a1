"""What a run leaves behind: a workdir, its config, split, metrics and checkpoints.

Reads it for evaluation, explanation and studies.
May import data, models, runtime and errors.
"""
