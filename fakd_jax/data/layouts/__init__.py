"""Layouts that people keep images in: one module per layout, each from files to a scan.

:func:`fakd_jax.data.scanning.scan_source` recognises them.
"""
