"""The ablation study: which part of the loss does what, over seeds and splits, with intervals.

Holds the `study` command (`__main__`), its cells, statistics, table and figure.
May import experiment and everything below it.
"""
