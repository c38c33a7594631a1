"""The paper's experiment: typed settings, checks of a given teacher, both phases, evaluation.

May import training, evaluation, audit, runs, data, models, distillation, runtime and errors.
"""
