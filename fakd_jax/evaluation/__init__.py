"""Measures a checkpoint on one split: collect predictions, measure, write the report.

Holds `collect`, `measure`, `latency`, `baseline` and the `report` package.
May import inference, metrics, audit, runs, data, reporting and runtime; never training.
"""
