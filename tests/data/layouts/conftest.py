"""Opens sources of any layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.layouts.sources import Opener


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    return Opener(tmp_path / "cache")
