"""Copies with hidden segments: looked up or computed anew, a network's answers are the same."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.explanation.scene.infill import hide
from fakd_jax.inference.masked import look_up
from fakd_jax.inference.predictor import Predictor
from fakd_jax.models import create_model

SIDE, BATCH, COPIES = 64, 4, 40
STRIPS = np.repeat(np.arange(4, dtype=np.int32), 16)[None].repeat(SIDE, axis=0)
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (12, SIDE, SIDE, 3), dtype=np.uint8)
SHOWN = RANDOM.random((COPIES, 4)) < 0.5


def a_predictor(dtype: str = "float32") -> Predictor:
    model = create_model("tiny_mobilenet", num_classes=3, dtype=jnp.dtype(dtype), rngs=nnx.Rngs(0))
    return Predictor(
        model,
        {"arch": "tiny_mobilenet", "num_classes": 3},
        preprocessing=Preprocessing(image_size=SIDE),
        checkpoint=Path("nowhere"),
        batch_size=BATCH,
        dtype=dtype,
    )


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """With statistics of its own images, so that its answers differ."""
    return a_predictor().reinitialised(0, IMAGES)


def batches_begun(predictor: Predictor, monkeypatch: pytest.MonkeyPatch, copies: int) -> int:
    """How often the network's first layers run for 40 copies of which `copies` are announced."""
    begun, begin = [], predictor._hiding.begin

    def counted(*args: object, **options: object) -> object:
        begun.append(1)
        return begin(*args, **options)

    monkeypatch.setattr(predictor._hiding, "begin", counted)
    predictor.prepare_hidden(IMAGES[0], IMAGES[1], STRIPS, copies)(SHOWN)
    monkeypatch.undo()
    return len(begun)


@pytest.mark.parametrize("copies", [1, 16, COPIES], ids=["no table", "one table", "two tables"])
def test_looked_up_answers_are_those_about_images_made_by_hand(
    predictor: Predictor, copies: int
) -> None:
    segments = np.where(np.arange(SIDE)[:, None] < 20, -1, STRIPS)  # with background
    made = predictor.predict_proba(hide(IMAGES[0], IMAGES[1], segments, SHOWN))
    assert np.ptp(made, axis=0).min() > 1e-3
    answers = predictor.prepare_hidden(IMAGES[0], IMAGES[1], segments, copies)(SHOWN)
    np.testing.assert_allclose(answers, made, atol=1e-6)


def test_tables_save_the_first_layers_of_most_copies(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert batches_begun(predictor, monkeypatch, 1) == COPIES / BATCH
    assert batches_begun(predictor, monkeypatch, COPIES) == 2  # 8 rows, of which all others follow


def test_what_was_prepared_serves_any_number_of_questions(predictor: Predictor) -> None:
    ask = predictor.prepare_hidden(IMAGES[0], IMAGES[1], STRIPS, COPIES)
    whole = ask(SHOWN)
    parts = [ask(SHOWN[start : start + 8]) for start in range(0, COPIES, 8)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_networks_that_share_programs_do_not_share_tables(predictor: Predictor) -> None:
    other = predictor.reinitialised(1, IMAGES)
    made = hide(IMAGES[0], IMAGES[1], STRIPS, SHOWN)
    for asked in (other, predictor):
        answers = asked.prepare_hidden(IMAGES[0], IMAGES[1], STRIPS, COPIES)(SHOWN)
        np.testing.assert_allclose(answers, asked.predict_proba(made), atol=1e-6)


def test_bfloat16_answers_are_those_of_the_same_network() -> None:
    predictor = a_predictor("bfloat16").reinitialised(0, IMAGES)
    plain, tabled = (
        predictor.prepare_hidden(IMAGES[0], IMAGES[1], STRIPS, copies)(SHOWN)
        for copies in (1, COPIES)
    )
    assert np.ptp(plain, axis=0).min() > 0.05
    np.testing.assert_allclose(tabled, plain, atol=1e-2)


def test_what_follows_a_table_compiles_once_whatever_the_number_of_segments() -> None:
    predictor = a_predictor()
    sizes = []
    for strips in (STRIPS // 2, np.minimum(STRIPS, 2), STRIPS):
        shown = np.ones((COPIES, strips.max() + 1), bool)
        predictor.prepare_hidden(IMAGES[0], IMAGES[1], strips, COPIES)(shown)
        sizes.append(predictor._hiding.go_on._cache_size())
    assert sizes[0] >= 1
    assert sizes[-1] <= 3  # from one cut to the next, and from each of them to the end


def test_another_number_of_segments_is_refused(predictor: Predictor) -> None:
    ask = predictor.prepare_hidden(IMAGES[0], IMAGES[1], STRIPS, 1)
    with pytest.raises(ValueError, match="5 columns for 4 segments"):
        ask(np.ones((2, 5), bool))


def test_a_feature_map_is_put_together_from_those_of_several_copies() -> None:
    table = np.arange(4 * 2 * 3, dtype=np.float32).reshape(4, 1, 2, 3)
    code = np.array([[1, 0], [2, 1]], np.float32)  # position 0 sees both segments, 1 the second
    shown = np.array([[True, True], [True, False], [False, True]])
    found = look_up(table, code, shown)
    rows = [[3, 1], [1, 0], [2, 1]]
    expected = [[[table[r0, 0, 0], table[r1, 0, 1]]] for r0, r1 in rows]
    np.testing.assert_array_equal(found, expected)
