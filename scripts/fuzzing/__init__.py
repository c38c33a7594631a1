"""Targets of `scripts/fuzz.py`: each module has `seeds()`, valid inputs, and `check(data)`."""
