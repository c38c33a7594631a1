"""Measures a checkpoint under shifts of its images: predict, measure, summarise, write.

May import shifts, evaluation and what evaluation may; never training.
"""
