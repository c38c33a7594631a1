"""How far an explanation can be trusted: metrics as functions of arrays.

May import scene, result, metrics.resampling and inference.network; never methods or reports.
"""
