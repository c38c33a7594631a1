"""How results are shown: numbers, text tables, figures and HTML pages, whatever they are about.

A page is a Jinja template in the `templates/` of the package it belongs to.
May import errors and runtime alone of this package.
"""
