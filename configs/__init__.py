"""One file an experiment; each is read by `python -m fakd_jax.train --config configs/NAME.py`."""
