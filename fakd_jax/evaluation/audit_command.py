"""The command that looks for copies in the data of an evaluation."""

from __future__ import annotations

import shlex
from pathlib import Path


def audit_command(source: str, cache_dir: Path | str | None) -> str:
    """What a user types so that the next evaluation finds an audit of the data.

    Args:
      source: of the data.
      cache_dir: of prepared data, where audits are kept; None or "" for the user's own, which
        needs no flag.

    >>> audit_command("hospital scans.zip", None)
    "python -m fakd_jax.audit --data 'hospital scans.zip'"
    >>> audit_command("phantom", "/scratch/data")
    'python -m fakd_jax.audit --data phantom --cache_dir /scratch/data'
    """
    words = ["python", "-m", "fakd_jax.audit", "--data", source]
    return shlex.join([*words, "--cache_dir", str(cache_dir)] if cache_dir else words)
