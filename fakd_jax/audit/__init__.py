"""Data audits: duplicates across splits, conflicting labels, and shortcuts to the classes.

`record` holds and stores the duplicate groups, `findings` what they mean, `run` the whole audit.
May import data, metrics, reporting, runtime, cli and `inference.batching`; no network.
"""
