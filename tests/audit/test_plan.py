"""How an audit will search, and what it is expected to cost."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from fakd_jax.audit import plan
from fakd_jax.audit.plan import APPROXIMATE, EXACT, EXACT_UP_TO, method_for, plan_search
from fakd_jax.errors import UserError
from fakd_jax.reporting.images import png_bytes


class Pictures:
    """Many times the same picture."""

    def __init__(self, count: int) -> None:
        self.examples = [SimpleNamespace(id="image", label=0, split="train", content="")] * count

    def read_encoded(self, index: int) -> bytes:
        return png_bytes(np.full((32, 32), index % 256, np.uint8))


def test_every_pair_is_compared_up_to_a_number_of_images():
    assert [method_for(n) for n in (1, EXACT_UP_TO, EXACT_UP_TO + 1)] == [EXACT, EXACT, APPROXIMATE]


def test_the_cost_grows_with_the_square_at_first_and_then_with_the_number(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "_slowness", lambda: 1.0)
    monkeypatch.setattr(plan, "_seconds_to_read", lambda dataset: 0.0)
    small, double, beyond, large, huge = (
        plan_search(Pictures(n), tmp_path) for n in (5_000, 10_000, 10_100, 100_000, 1_000_000)
    )
    assert 3 < double.seconds / small.seconds < 4
    assert huge.seconds == pytest.approx(10 * large.seconds)
    assert small.scratch is None
    assert small.scratch_bytes == 0
    assert large.scratch == tmp_path
    assert beyond.bytes + beyond.scratch_bytes > 1.82 * 2**30  # by scripts/growth/audit.py
    assert large.bytes + large.scratch_bytes < 8e9
    assert large.method == APPROXIMATE
    for words in ("min", "GB of memory", str(tmp_path), "10,000"):
        assert words in str(large)


def test_the_time_to_read_is_measured_on_the_data(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "_slowness", lambda: 0.0)
    assert 0 < plan_search(Pictures(3), tmp_path).seconds < 1


def test_many_images_need_faiss_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setattr(Pictures, "read_encoded", None)
    with pytest.raises(UserError, match=r"fakd_jax\[faiss\]"):
        plan_search(Pictures(EXACT_UP_TO + 1), tmp_path)
