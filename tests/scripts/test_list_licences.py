"""The table of licences and the lock file cover the dependencies in pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from scripts.list_licences import PAGE, REPOSITORY, name_of, runtime_dependencies


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text)["project"])


def test_every_runtime_dependency_has_a_licence_in_the_table() -> None:
    rows = re.findall(r"^\| ([a-z0-9-]+) \| (.+) \| .*\|$", PAGE.read_text(), re.MULTILINE)
    licences = dict(rows)
    for name in runtime_dependencies():
        assert licences.get(name), f"{name} is missing: run python scripts/list_licences.py"


def test_the_lock_pins_what_development_needs(project: dict[str, Any]) -> None:
    lock = (REPOSITORY / "requirements-dev.lock").read_text(encoding="utf-8")
    pinned = set(re.findall(r"^([a-z0-9-]+)==\S+", lock, re.MULTILINE))
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["dev"], *extras["test"]]
    names = {name_of(requirement) for requirement in wanted} - {"fakd-jax"}
    assert names <= pinned, f"not pinned: {sorted(names - pinned)}"
    assert "://" not in lock
    assert " @ " not in lock
