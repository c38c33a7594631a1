"""The worst mistakes explained: the prediction against the truth, as many as asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fakd_jax.evaluate import make_parser
from fakd_jax.evaluation.report.explained import (
    METHOD,
    MISTAKES_EXPLAINED,
    OPTIONS,
    explain_mistakes,
)
from fakd_jax.evaluation.report.mistakes import Mistake
from fakd_jax.explanation import explain_image
from tests.tiny import tiny_predictor


def mistakes(count: int) -> list[Mistake]:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 40, 36, 3), dtype=np.uint8)
    return [
        Mistake(rank, str(rank), image, "0", "2", {"0": 0.2, "1": 0.1, "2": 0.7}, None)
        for rank, image in enumerate(pixels, start=1)
    ]


def test_the_first_are_explained_as_the_library_does() -> None:
    predictor, wrong = tiny_predictor(), mistakes(3)
    first, second, third = explain_mistakes(predictor, wrong, 2)
    assert third is wrong[2]
    for mistake in (first, second):
        contrast = {"target": 2, "contrast": 0}
        expected = explain_image(predictor, mistake.image, method=METHOD, **contrast, **OPTIONS)
        assert mistake.explanation is not None
        np.testing.assert_array_equal(mistake.explanation.picture, expected.overlay())
        assert mistake.explanation.reading == expected.reading()
        assert mistake.explanation.picture.shape == mistake.image.shape


def test_of_a_group_only_the_first_is_explained() -> None:
    first, copy, other, last = mistakes(4)
    wrong = [first, replace(copy, follows=1), other, last]
    explained = explain_mistakes(tiny_predictor(), wrong, 2)
    assert [each.rank for each in explained] == [1, 2, 3, 4]
    assert [each.explanation is not None for each in explained] == [True, False, True, False]


@pytest.mark.parametrize(("count", "most"), [(0, 6), (2, 0)])
def test_no_network_is_needed_for_nothing_to_explain(count: int, most: int) -> None:
    wrong = mistakes(count)
    assert explain_mistakes(None, wrong, most) == wrong


def test_the_command_explains_as_many_as_the_library() -> None:
    flags = make_parser().parse_args(["--checkpoint", "x"])
    assert flags.explain_mistakes == MISTAKES_EXPLAINED
