"""The share of attribution outside the head."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.explanation.quality.background import background_share

FOREGROUND = np.array([[True, True, False], [True, False, False]])
ATTRIBUTION = np.array([[3.0, -1.0, 0.5], [0.0, -1.5, 0.0]])


def test_by_hand() -> None:
    assert background_share(ATTRIBUTION, FOREGROUND) == pytest.approx(2 / 6)
    assert background_share(ATTRIBUTION, ~FOREGROUND) == pytest.approx(4 / 6)
    assert background_share(ATTRIBUTION, np.zeros((2, 3), bool)) == 1


@pytest.mark.parametrize("scale", [-1.0, 1e-300, 1e307])
def test_neither_sign_nor_scale_matters(scale: float) -> None:
    assert background_share(ATTRIBUTION * scale, FOREGROUND) == pytest.approx(2 / 6)


def test_silence_is_no_merit_and_without_an_outside_there_is_nothing_to_avoid() -> None:
    assert background_share(ATTRIBUTION * 0, FOREGROUND) is None
    assert background_share(ATTRIBUTION, np.ones((2, 3), bool)) is None


@pytest.mark.parametrize("attribution", [np.full((2, 3), np.inf), np.ones((3, 2))])
def test_what_is_no_attribution_is_refused(attribution: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite attribution"):
        background_share(attribution, FOREGROUND)
