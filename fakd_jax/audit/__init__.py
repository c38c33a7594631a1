"""Data audits: duplicates of training images, shortcuts, and what the images betray.

Holds the `audit` command (`__main__`), the search and its findings.
May import data, metrics, reporting, runtime and cli; knows no network.
"""
