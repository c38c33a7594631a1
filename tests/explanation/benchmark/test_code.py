"""A cell depends on all code that measures it, and on none that reports it."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import grimp
import pytest

from fakd_jax.explanation.benchmark import code
from fakd_jax.explanation.benchmark.code import LIBRARIES, MEASURING, measured_by, measuring_files

ENTRIES = (
    "explanation.benchmark.measure",
    "explanation.methods.registry",
    "explanation.scene.builder",
    "data.masks",
    "inference.network",
    "inference.adapter",
)
"""The modules by which a benchmark makes its scenes, networks, methods and metrics."""


def modules_of(files: list[Path]) -> set[str]:
    """Names of modules within the package; a package's is that of its folder."""
    return {".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files}


def test_whatever_measuring_imports_is_hashed_and_no_report_is() -> None:
    graph = grimp.build_graph("fakd_jax", exclude_type_checking_imports=True, cache_dir=None)
    reached = set(ENTRIES)
    for entry in ENTRIES:
        imported = graph.find_upstream_modules(f"fakd_jax.{entry}")
        reached |= {name.removeprefix("fakd_jax.") for name in imported}
    hashed = modules_of(measuring_files())
    assert "explanation.quality.fidelity" in reached
    assert {name for name in reached - hashed if "runtime" not in name} == {"errors", "version"}
    reports = ("explanation.report", "explanation.benchmark.report", "evaluation", "reporting")
    assert not {name for name in hashed if name.startswith(reports)}


def test_every_library_has_its_version() -> None:
    facts = measured_by()
    assert {name: facts[name] for name in LIBRARIES} == {name: version(name) for name in LIBRARIES}
    assert facts == measured_by()


def test_the_digest_changes_with_measuring_sources_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        part: tmp_path / (part if part.endswith(".py") else f"{part}/inner/module.py")
        for part in MEASURING
    }
    for part, file in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# {part}")
    monkeypatch.setattr(code, "PACKAGE", tmp_path)
    seen = {measured_by()["code"]}
    (tmp_path / "explanation" / "report.py").write_text("# not measuring")
    assert {measured_by()["code"]} == seen
    for file in files.values():
        file.write_text("# changed")
        seen.add(measured_by()["code"])
    files["models"].rename(tmp_path / "models" / "module.py")
    seen.add(measured_by()["code"])
    assert len(seen) == len(MEASURING) + 2
