"""The ablation study: what each term of the loss contributes, over seeds and splits.

Holds the `study` command, the grid of cells, their results, statistics, table and figure.
May import experiment, stress and everything below them.
"""
