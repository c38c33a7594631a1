"""What explaining writes per image does not depend on how many images there are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="counts bytes as Linux does")
def test_bytes_per_image_do_not_grow(
    load_script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    script = load_script("growth/explanation")
    few, more = (script.measure(tmp_path / str(n), n, figures=False) for n in (5, 25))
    assert (few["n"], more["n"]) == (5, 25)
    assert 0 < more["bytes_per_image"] < 1.2 * few["bytes_per_image"]
    assert not list(tmp_path.iterdir())
    assert more["seconds"] > 0
    assert more["wall_seconds"] > 0
    assert "25 images" in script.describe(more)
