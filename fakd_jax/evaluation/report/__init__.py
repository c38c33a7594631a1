"""The evaluation's report: HTML page, text tables, figures and files.

Prints what `metrics.json` holds; measures nothing.
May import metrics, reporting and runtime.
"""
