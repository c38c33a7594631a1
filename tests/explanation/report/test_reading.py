"""The sentences of a reader: the share of the evidence, the seed, and what is not shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fakd_jax.explanation.report.reading import NOT_SHOWN, evidence_in_top, reading
from fakd_jax.explanation.result import Explanation, Sampling, painted

SEGMENTS = np.array([[0, 0, 1], [2, 3, -1]], np.int32)


def by_superpixel(*weights: float) -> Explanation:
    values = np.array(weights)
    return Explanation(0, SEGMENTS, values, painted(SEGMENTS, values))


MIXED = by_superpixel(0.4, -0.3, 0.2, 0.1)


def read(explanation: Explanation = MIXED, top: int = 2, **changes: object) -> str:
    facts = {"method": "lime", "score": "probability", "class_name": "glioma"} | changes
    return reading(explanation, top, **facts)


def test_the_share_of_the_heaviest_by_hand() -> None:
    assert evidence_in_top(MIXED, 1) == pytest.approx(0.4)
    assert evidence_in_top(MIXED, 2) == pytest.approx(0.7)
    assert evidence_in_top(MIXED, 9) == pytest.approx(1)
    assert evidence_in_top(by_superpixel(0.0, 0.0, 0.0, 0.0), 1) == 0


def test_pixels_outside_all_superpixels_are_evidence_too() -> None:
    pixels = replace(MIXED, attribution=np.array([[1.0, -1.0, 4.0], [1.0, 1.0, 2.0]]))
    # The heaviest by its weight is superpixel 0, whose two pixels hold 2 of 10.
    assert evidence_in_top(pixels, 1) == pytest.approx(0.2)


def test_a_reading_names_class_score_share_and_what_is_not_shown() -> None:
    text = read()
    for part in ("lime", "the probability of glioma", "2 of 4 superpixels", "70 %", NOT_SHOWN):
        assert part in text
    assert "seed" not in text
    contrast = read(score="log-odds", contrast="pituitary")
    assert "the log-odds of glioma against pituitary" in contrast
    assert "speaks for pituitary" in contrast


def test_a_reading_says_whether_another_seed_agrees() -> None:
    texts = {
        read(replace(MIXED, sampling=Sampling(50, *np.zeros((2, 4)), 2, jaccard, 0.8)))
        for jaccard in (0.7, 0.9)
    }
    assert len(texts) == 2
    assert all("another seed" in text for text in texts)


def test_nothing_to_see_and_controls_claim_no_evidence() -> None:
    for text in (read(by_superpixel(0, 0, 1e-9, 0)), read(score=None)):
        assert "evidence" not in text
        assert "%" not in text
