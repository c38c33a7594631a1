"""Figures, tables and pages of explanations and of their benchmark; measures nothing.

May import explanation.{result,benchmark,quality}, reporting and runtime.
"""
