"""Writes docs/reference/licences.md: the licence of every package that an installation brings.

    python scripts/list_licences.py

reads the metadata of the installed packages that the dependencies in pyproject.toml lead to.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs" / "reference" / "licences.md"
OSI = "License :: OSI Approved :: "
HEADER = """\
# Licences of the dependencies

fakd_jax is under Apache-2.0. `pip install fakd_jax` brings these packages, with the licences that
their metadata declare; the wheels of some contain further libraries, whose licences lie in them.
Written by `python scripts/list_licences.py`, on Linux.

| package | licence | required by |
|---|---|---|
"""


def runtime_dependencies() -> list[str]:
    """The names of the dependencies in pyproject.toml."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    return [name_of(requirement) for requirement in project["project"]["dependencies"]]


def name_of(requirement: str) -> str:
    """The normalised name in a requirement.

    >>> name_of("Absl_Py>=2.1; python_version > '3'")
    'absl-py'
    """
    name = re.match(r"[A-Za-z0-9._-]+", requirement.strip())
    if name is None:
        raise ValueError(f"{requirement!r} is not a requirement")
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def closure(names: Iterable[str]) -> dict[str, set[str]]:
    """All installed packages that these lead to, extras left out, with those that require them."""
    required_by: dict[str, set[str]] = {name: {"fakd_jax"} for name in names}
    waiting = list(required_by)
    while waiting:
        parent = waiting.pop()
        for requirement in metadata.requires(parent) or ():
            name = name_of(requirement)
            if "extra ==" in requirement or not _is_installed(name):
                continue
            if name not in required_by:
                waiting.append(name)
            required_by.setdefault(name, set()).add(parent)
    return required_by


def licence_of(name: str) -> str:
    """What a package's metadata declare: the SPDX expression, the classifiers, or the first line.

    Raises:
      ValueError: they declare none.
    """
    declared = metadata.metadata(name)
    if expression := declared.get("License-Expression"):
        return expression
    classifiers = [c for c in declared.get_all("Classifier") or () if c.startswith(OSI)]
    if classifiers:
        return ", ".join(classifier.removeprefix(OSI) for classifier in classifiers)
    if text := (declared.get("License") or "").strip():
        return text.splitlines()[0].strip()
    raise ValueError(f"the metadata of {name} declare no licence")


def page() -> str:
    """The content of the page."""
    rows = [
        f"| {name} | {licence_of(name)} | {', '.join(sorted(parents))} |\n"
        for name, parents in sorted(closure(runtime_dependencies()).items())
    ]
    return HEADER + "".join(rows)


def _is_installed(name: str) -> bool:
    """Whether a package is here: a requirement for another system or Python is not."""
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
