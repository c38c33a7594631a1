"""Masked inference: looked up or computed afresh, the predictions are the same."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.inference.adapter import network_of
from fakd_jax.inference.masked import MaskedInference, look_up
from fakd_jax.inference.network import mask
from fakd_jax.inference.predictor import Predictor
from fakd_jax.models.reinitialisation import reinitialise
from tests.tiny import tiny_predictor

SIDE, BATCH, MASKS = 64, 4, 40
STRIPS = np.repeat(np.arange(4, dtype=np.int32), 16)[None].repeat(SIDE, axis=0)
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (12, SIDE, SIDE, 3), dtype=np.uint8)
VISIBLE = RANDOM.random((MASKS, 4)) < 0.5
OTHER_IMAGE = IMAGES[1]


def responsive(seed: int = 0, dtype: str = "float32") -> Predictor:
    """A predictor with statistics of its own images, so that its outputs differ."""
    predictor = tiny_predictor(image_size=SIDE, batch_size=BATCH, dtype=dtype)
    model = reinitialise(
        predictor.metadata, seed, IMAGES.astype(np.float32) / 127.5 - 1, dtype=dtype
    )
    return predictor.with_network(model)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return responsive()


@pytest.fixture(scope="module")
def masked(predictor: Predictor) -> MaskedInference:
    return MaskedInference(predictor)


def predict(masked: MaskedInference, num_masks: int = MASKS) -> np.ndarray:
    """Predictions for `VISIBLE`, of which `num_masks` were announced."""
    return masked.prepare(IMAGES[0], OTHER_IMAGE, STRIPS, num_masks)(VISIBLE)


WITH_BACKGROUND = np.where(np.arange(SIDE)[:, None] < 20, -1, STRIPS)
MANY = RANDOM.integers(-1, 70, (SIDE, SIDE)).astype(np.int32)  # more than the narrowest masks
MANY.flat[:70] = np.arange(70)


@pytest.mark.parametrize(
    ("segments", "num_masks"),
    [(WITH_BACKGROUND, 1), (WITH_BACKGROUND, 8), (WITH_BACKGROUND, MASKS), (MANY, 7)],
    ids=["no table", "one table", "two tables", "many segments"],
)
def test_predictions_are_those_of_images_masked_by_hand(
    predictor: Predictor, masked: MaskedInference, segments: np.ndarray, num_masks: int
) -> None:
    visible = VISIBLE if segments is WITH_BACKGROUND else RANDOM.random((7, 70)) < 0.5
    expected = predictor.predict_proba(mask(IMAGES[0], OTHER_IMAGE, segments, visible))
    assert np.ptp(expected, axis=0).min() > 1e-3
    found = masked.prepare(IMAGES[0], OTHER_IMAGE, segments, num_masks)(visible)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_tables_save_the_first_layers_of_most_masked_inputs(
    masked: MaskedInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = masked._begin
    for num_masks, batches in ((1, MASKS / BATCH), (MASKS, 1)):  # 4 rows cover all others
        begun: list[int] = []

        def counted(*args: object, begun: list[int] = begun, **options: object) -> object:
            begun.append(1)
            return begin(*args, **options)

        monkeypatch.setattr(masked, "_begin", counted)
        predict(masked, num_masks)
        assert len(begun) == batches


def test_a_prepared_image_serves_any_number_of_masks(masked: MaskedInference) -> None:
    prepared = masked.prepare(IMAGES[0], OTHER_IMAGE, STRIPS, MASKS)
    parts = [prepared(VISIBLE[start : start + 8]) for start in range(0, MASKS, 8)]
    np.testing.assert_array_equal(np.concatenate(parts), prepared(VISIBLE))


def test_networks_that_share_programs_do_not_share_tables(
    predictor: Predictor, masked: MaskedInference
) -> None:
    other = predictor.with_network(responsive(seed=1).network)
    images = mask(IMAGES[0], OTHER_IMAGE, STRIPS, VISIBLE)
    for queried, inference in ((other, masked.with_weights_of(other)), (predictor, masked)):
        expected = queried.predict_proba(images)
        np.testing.assert_allclose(predict(inference), expected, atol=1e-6)


@pytest.mark.slow
def test_tables_change_nothing_in_bfloat16() -> None:
    masked = MaskedInference(responsive(dtype="bfloat16"))
    plain, tabulated = predict(masked, 1), predict(masked)
    assert np.ptp(plain, axis=0).min() > 0.05
    np.testing.assert_allclose(tabulated, plain, atol=1e-2)


def test_programs_compile_once_whatever_the_number_of_segments(predictor: Predictor) -> None:
    masked = MaskedInference(predictor)
    for count in (1, 9, 64):
        segments = np.arange(SIDE * SIDE, dtype=np.int32).reshape(SIDE, SIDE) % count
        for rows in (1, 6):
            prepared = masked.prepare(IMAGES[0], OTHER_IMAGE, segments, rows)
            prepared(np.ones((rows, count), bool))
    assert masked._begin._cache_size() == 1
    sizes = []
    for strips in (STRIPS // 2, np.minimum(STRIPS, 2), STRIPS):
        visible = np.ones((MASKS, strips.max() + 1), bool)
        masked.prepare(IMAGES[0], OTHER_IMAGE, strips, MASKS)(visible)
        sizes.append(masked._resume._cache_size())
    assert sizes[0] >= 1
    assert sizes[-1] <= 3  # from one cut to the next, and from each of them to the end


def test_another_number_of_segments_is_refused(predictor: Predictor) -> None:
    prepared = network_of(predictor).prepare_masked(IMAGES[0], OTHER_IMAGE, STRIPS, 1)
    with pytest.raises(ValueError, match="5 columns"):
        prepared(np.ones((2, 5), bool))


def test_a_feature_map_is_assembled_from_those_of_several_masks() -> None:
    table = np.arange(4 * 2 * 3, dtype=np.float32).reshape(4, 1, 2, 3)
    code = np.array([[1, 0], [2, 1]], np.float32)  # position 0 depends on both, 1 on the second
    visible = np.array([[True, True], [True, False], [False, True]])
    found = look_up(table, code, visible)
    rows = [[3, 1], [1, 0], [2, 1]]
    expected = [[[table[r0, 0, 0], table[r1, 0, 1]]] for r0, r1 in rows]
    np.testing.assert_array_equal(found, expected)
