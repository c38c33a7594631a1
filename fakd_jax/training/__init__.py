"""Trains one phase, teacher or student: state, steps, loop, validation, optimizer, checkpoints.

May import data, models, distillation, runs, runtime and errors; not evaluation or inference.
"""
