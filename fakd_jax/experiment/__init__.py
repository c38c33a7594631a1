"""The paper's experiment: fine-tune the teacher, distil the student, evaluate both.

Holds settings, checks of a given teacher and the whole run.
May import training, evaluation, runs, data, models and distillation.
"""
