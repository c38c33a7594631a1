"""Measures a checkpoint on one split of the data: collect, measure, write.

Holds these three steps, the run of them, and the `report` package.
May import inference, metrics, audit, runs, data, reporting and runtime; never training.
"""
