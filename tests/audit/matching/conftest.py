"""Small batches: one is filled up however few the pairs, and these tests have few."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fakd_jax.audit.matching import registration


@pytest.fixture(autouse=True, scope="module")
def _small_batches() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registration, "BATCH", 16)
        yield
