"""The benchmark of explanation methods: measures each on each image, then compares them.

Holds metrics, cells and their statistics; only `run` writes reports.
May import explanation.{scene,methods,quality}, metrics and runtime; `run` also explanation.report.
"""
