"""Metrics of predictions with their intervals, in NumPy and SciPy alone.

Confusion, ranking, calibration, selective prediction, comparison, resampling.
Imports nothing of this package but errors.
"""
