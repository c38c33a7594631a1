"""Views of pictures: alike whoever computes them, in memory and in scratch files."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.audit.matching import views
from fakd_jax.audit.matching.appearance import COARSE_SIDE, SIDE, head_boxes
from fakd_jax.audit.matching.descriptors import describe
from fakd_jax.runtime.mapping import LocalMapper
from tests.audit.elsewhere import Elsewhere
from tests.audit.pictures import smooth


@pytest.fixture(autouse=True)
def _parts_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "PART", 3)


@pytest.fixture
def grey() -> np.ndarray:
    """Seven pictures, of which the last is a part of its own."""
    return (100 + 20 * smooth(7, SIDE, 2.0)).clip(0, 255).astype(np.uint8)


def silently(line: str) -> None:
    pass


def test_views_are_in_the_pictures_order_whoever_computes_them(grey):
    elsewhere = Elsewhere()
    here, heads = views.view_all(grey, LocalMapper(), silently)
    there, other_heads = views.view_all(grey, elsewhere, silently)
    assert elsewhere.called == {"_view": 3}
    for one, other in zip(here.columns(), there.columns(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(heads, other_heads)
    np.testing.assert_array_equal(here.boxes, head_boxes(grey.astype(np.float32)))
    (alone, _) = views.view_all(grey[5:6], LocalMapper(), silently)
    np.testing.assert_array_equal(alone.fine[0], here.fine[5])
    assert here.coarse.shape == heads.shape == (7, COARSE_SIDE, COARSE_SIDE)


def test_in_scratch_files_they_are_rounded_to_half_precision_and_described(grey, tmp_path):
    full, heads = views.view_all(grey, LocalMapper(), silently)
    half, whole, cropped = views.describe_all(grey, tmp_path, Elsewhere(), silently)
    np.testing.assert_array_equal(half.boxes, full.boxes)
    for name in ("fine", "coarse"):
        rounded = getattr(half, name)
        assert rounded.dtype == np.float16
        np.testing.assert_array_equal(rounded, getattr(full, name).astype(np.float16))
    np.testing.assert_allclose(whole, describe(full.coarse), atol=1e-6)
    np.testing.assert_allclose(cropped, describe(heads), atol=1e-6)
    assert list(tmp_path.iterdir()) == []  # the files have no name
