"""The benchmark's HTML gallery: every image, every method, side by side.

One module per part of the page.
May import explanation.report and reporting.
"""
