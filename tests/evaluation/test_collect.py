"""The audit command in a note."""

from __future__ import annotations

import shlex

import pytest

from fakd_jax.audit.__main__ import make_parser
from fakd_jax.evaluation.collect import audit_command


@pytest.mark.parametrize("source", ["phantom", "it's $HOME; rm"])
@pytest.mark.parametrize("cache_dir", [None, "", "/scratch/prepared data"])
def test_the_shell_reads_the_audit_command_as_meant(source: str, cache_dir: str | None) -> None:
    command = shlex.split(audit_command(source, cache_dir, {"no tumor": "notumor", "x": ""}))
    assert command[:3] == ["python", "-m", "fakd_jax.audit"]
    flags = make_parser().parse_args(command[3:])
    assert (flags.data, flags.cache_dir) == (source, cache_dir or None)
    assert flags.class_map == "no tumor=notumor,x="
