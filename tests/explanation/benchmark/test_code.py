"""What computes figures is known by its sources and its libraries."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

import fakd_jax
from fakd_jax.explanation.benchmark.code import COMPUTING, LIBRARIES, computed_by


def a_package(root: Path) -> Path:
    """A copy of this package's layout, with a line in each part that computes."""
    for part in COMPUTING:
        file = root / part if part.endswith(".py") else root / part / "inner" / "module.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# {part}")
    return root


def test_every_part_is_there_and_every_library_has_its_version() -> None:
    root = Path(fakd_jax.__file__).parent
    assert all((root / part).exists() for part in COMPUTING)
    told = computed_by()
    assert {name: told[name] for name in LIBRARIES} == {name: version(name) for name in LIBRARIES}
    assert told == computed_by()


@pytest.mark.parametrize("part", COMPUTING)
def test_another_line_anywhere_is_other_code(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = a_package(tmp_path)
    monkeypatch.setattr(fakd_jax, "__file__", str(root / "__init__.py"))
    before = computed_by()["code"]
    (root / "train.py").write_text("# no figure depends on this")
    assert computed_by()["code"] == before
    changed = root / part if part.endswith(".py") else root / part / "inner" / "module.py"
    changed.write_text("# changed")
    assert computed_by()["code"] != before


def test_a_moved_line_is_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = a_package(tmp_path)
    monkeypatch.setattr(fakd_jax, "__file__", str(root / "__init__.py"))
    before = computed_by()["code"]
    (root / "models" / "inner" / "module.py").rename(root / "models" / "module.py")
    assert computed_by()["code"] != before
