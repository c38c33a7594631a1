"""Metrics of predictions with their intervals: NumPy and SciPy alone.

Holds confusion, ranking, calibration, selective prediction, comparison and resampling.
Imports nothing of this package but errors.
"""
