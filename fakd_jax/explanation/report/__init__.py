"""Figures, tables and pages of explanations and of their benchmark.

Prints what was measured; measures nothing.
May import explanation.scene, reporting and runtime.
"""
