"""The same rows from this process and from workers, in groups of any size."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import tifffile

from fakd_jax.errors import UserError
from fakd_jax.prediction import blocks
from fakd_jax.prediction.blocks import Block, Recipe, blocks_elsewhere, blocks_here, network_sha256
from fakd_jax.prediction.file_list import ListedFile
from fakd_jax.runs.decision import Decision
from tests.prediction.brightness import BATCH_SIZE, DarkImages, brightness_network, write_colours

T = TypeVar("T")
NETWORK = brightness_network(decision=Decision(2.0, 0.6), reference=DarkImages())
RECIPE = Recipe("run", "jax", BATCH_SIZE, "float32", False, NETWORK.rules, network_sha256(NETWORK))


class Elsewhere:
    """A worker in another folder.

    Attributes:
      groups: numbers of files of each call.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.groups: list[int] = []

    def map(
        self,
        function: Callable[..., T],
        chunks: Iterable[tuple[Any, ...]],
        *,
        threaded: bool = True,
    ) -> Iterator[T]:
        for chunk in chunks:
            self.groups.append(len(chunk[1]))
            here = os.getcwd()
            os.chdir(self._folder)
            try:
                result = function(*chunk)
            finally:
                os.chdir(here)
            yield result


@pytest.fixture(autouse=True)
def _worker_opens_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks._opened.cache_clear()
    monkeypatch.setattr(blocks, "open_network", lambda checkpoint, **options: NETWORK)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ListedFile]:
    """22 files of 26 images, by relative paths."""
    folder = write_colours(tmp_path / "scans", 21)
    pages = np.stack([np.full((20, 20), level, np.uint16) for level in range(0, 2_500, 500)])
    tifffile.imwrite(folder / "0007-pages.tif", pages, photometric="minisblack")
    monkeypatch.chdir(tmp_path)
    paths = sorted(str(path.relative_to(tmp_path)) for path in folder.iterdir())
    return [ListedFile(number, path, path, "") for number, path in enumerate(paths, start=1)]


def rows_in(found: Iterable[Block]) -> list[Any]:
    return [row for block in found for row in block.rows]


@pytest.mark.parametrize("first_frame", [0, 2])
def test_workers_give_the_same_rows(
    files: list[ListedFile], tmp_path: Path, first_frame: int
) -> None:
    rest = files[7 if first_frame else 0 :]
    own: list[list[bool]] = [[], []]
    here = [*blocks_here(NETWORK, iter(rest), first_frame, lambda: own[0].append(True))]
    other = tmp_path / "elsewhere"
    other.mkdir()
    mapper = Elsewhere(other)
    there = [
        *blocks_elsewhere(RECIPE, mapper, iter(rest), first_frame, lambda: own[1].append(True))
    ]
    assert rows_in(here) == rows_in(there)
    assert own == [[True], [True]]
    assert mapper.groups == ([15] if first_frame else [16, 6])
    assert there[-1][1:] == here[-1][1:] == (22, 0)
    assert len(rows_in(here)) == 26 - (7 + first_frame if first_frame else 0)


def test_blocks_say_how_far_they_come(files: list[ListedFile]) -> None:
    found = [*blocks_here(NETWORK, iter(files), 0, lambda: None)]
    assert [len(block.rows) for block in found] == [4, 4, 4, 4, 4, 4, 2]
    # Files 1 to 7 have an image each, the eighth has five.
    assert [block[1:] for block in found[:4]] == [(4, 0), (7, 1), (8, 0), (12, 0)]


def test_another_network_on_a_worker_is_refused(files: list[ListedFile], tmp_path: Path) -> None:
    other = replace(NETWORK, decision=Decision(3.0, 0.6))
    recipe = replace(RECIPE, sha256=network_sha256(other))
    found = blocks_elsewhere(recipe, Elsewhere(tmp_path), iter(files), 0, lambda: None)
    with pytest.raises(UserError, match="is another network than where the command was started"):
        next(found)
