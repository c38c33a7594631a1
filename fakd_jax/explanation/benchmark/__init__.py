"""Compares explanation methods: measures each on each image, then summarises.

Holds the cells, their cache and the verdicts; figures and pages are in `explanation.report`.
May import explanation.{scene,methods,quality,report}, metrics and runtime.
"""
