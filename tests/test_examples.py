"""Every example in a docstring of the package runs, and prints what it says."""

from __future__ import annotations

import ast
import doctest
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fakd_jax
from tests.tiny import save_tiny_checkpoint, write_image

PACKAGE = Path(fakd_jax.__file__).parent


def docstrings() -> Iterator[Any]:
    """The module, line and text of every docstring with an example.

    They are read from the source: what decorates a function may hide it from doctest's own search.
    """
    for file in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(("fakd_jax", *file.relative_to(PACKAGE).with_suffix("").parts))
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node)
                if text and ">>>" in text:
                    label = getattr(node, "name", "module")
                    yield pytest.param(name.removesuffix(".__init__"), text, id=f"{name}:{label}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the examples read: a checkpoint and an image."""
    folder = tmp_path_factory.mktemp("examples")
    save_tiny_checkpoint(folder / "runs" / "fakd-phantom")
    write_image(folder / "scan.png", 0)
    return folder


@pytest.fixture(scope="module")
def names(folder: Path) -> dict[str, Any]:
    """Names that the examples may use beside those of their modules."""
    images = np.random.default_rng(0).integers(0, 256, (3, 36, 40, 3), np.uint8)
    predictor = fakd_jax.Predictor.from_checkpoint(folder / "runs" / "fakd-phantom")
    return {"images": images, "predictor": predictor}


@pytest.mark.parametrize(("module", "text"), list(docstrings()))
def test_example(
    module: str,
    text: str,
    names: dict[str, Any],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    names = vars(importlib.import_module(module)) | names
    example = doctest.DocTestParser().get_doctest(text, names, module, None, None)
    assert not any(doctest.SKIP in part.options for part in example.examples)
    printed: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(example, out=printed.append)
    assert result.failed == 0, "".join(printed)


def test_the_notebook_is_stored_without_outputs() -> None:
    for file in (PACKAGE.parent / "examples").glob("*.ipynb"):
        for cell in json.loads(file.read_text())["cells"]:
            assert not cell.get("outputs"), file.name
