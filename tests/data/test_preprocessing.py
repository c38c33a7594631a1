import json
import math
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from fakd_jax.data.pixels.window import PixelRules, Window
from fakd_jax.data.preprocessing import (
    Preprocessing,
    normalise,
    resize,
    standardise,
)
from fakd_jax.errors import UserError

GOLDENS = Path(__file__).parent.parent / "goldens" / "images.npz"


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["wide", "tall", "small"])
def test_resize_and_normalise_equal_torchvision(name: str) -> None:
    goldens = np.load(GOLDENS)
    resized = resize(goldens[f"{name}.input"], 32)
    np.testing.assert_array_equal(resized, goldens[f"{name}.resized"])
    mean, std = goldens["mean"].tolist(), goldens["std"].tolist()
    for images in (resized, jnp.asarray(resized)):
        normalised = normalise(images, mean, std)
        assert normalised.dtype == np.float32
        np.testing.assert_allclose(normalised, goldens[f"{name}.normalised"], atol=5e-7)


def test_resize_leaves_the_right_size_alone(rgb: np.ndarray) -> None:
    square = np.ascontiguousarray(rgb[:, :12])
    assert resize(square, 12) is square


def test_normalise_maps_the_range_onto_minus_one_to_one() -> None:
    images = np.array([0, 255], np.uint8).reshape(1, 1, 2, 1).repeat(3, axis=-1)
    normalised = normalise(images, (0.5,) * 3, (0.5,) * 3)
    assert isinstance(normalised, np.ndarray)
    np.testing.assert_array_equal(normalised[0, 0, :, 0], [-1, 1])


def test_grey_levels_between_are_standardised_between() -> None:
    images = np.array([0, 1, 255], np.uint8).reshape(1, 1, 1, 3).repeat(3, axis=-2)
    mean, std = (0.1, 0.5, 0.9), (0.2, 0.5, 0.3)
    whole = standardise(images.astype(np.float32), mean, std)
    np.testing.assert_array_equal(whole, normalise(images, mean, std))
    between = standardise(np.full((1, 1, 1, 3), 127.5, np.float32), mean, std)
    np.testing.assert_allclose(between[0, 0, 0], [2, 0, -4 / 3], rtol=1e-6)
    assert between.dtype == np.float32


def test_normalise_refuses_floats() -> None:
    with pytest.raises(TypeError):
        normalise(np.zeros((1, 4, 4, 3), np.float32), (0.5,) * 3, (0.5,) * 3)


def test_inputs_of_one_normalisation_become_those_of_another_even_when_mixed() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    here = Preprocessing(8)
    other = Preprocessing(8, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    inputs, expected = here.inputs(images), other.inputs(images)
    np.testing.assert_allclose(here.renormalised(inputs, other), expected, atol=2e-6)
    mixed, mixed_expected = (0.3 * each[:1] + 0.7 * each[1:] for each in (inputs, expected))
    np.testing.assert_allclose(here.renormalised(mixed, other), mixed_expected, atol=2e-6)


def test_preprocessing_survives_json() -> None:
    settings = Preprocessing(64, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert Preprocessing.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    assert Preprocessing().to_dict() == {
        "image_size": 224,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "interpolation": "bilinear",
        "intensity": "none",
    }


def test_rules_of_pixels_are_stored_where_they_matter() -> None:
    settings = Preprocessing(pixels=PixelRules(Window("levels", 0, 4095), "coronal"))
    stored = json.loads(json.dumps(settings.to_dict()))
    assert stored["pixels"]["window"] == {
        "rule": "levels",
        "low": 0,
        "high": 4095,
        "own_first": True,
    }
    assert Preprocessing.from_dict(stored) == settings
    del stored["pixels"]
    assert Preprocessing.from_dict(stored) == Preprocessing()


def test_networks_agree_unless_both_know_a_window() -> None:
    plain = Preprocessing()
    first, other = (
        Preprocessing(pixels=PixelRules(Window("levels", 0, high))) for high in (4095, 65535)
    )
    assert plain.agrees_with(first)
    assert first.agrees_with(plain)
    assert first.agrees_with(first)
    assert not first.agrees_with(other)
    assert not plain.agrees_with(Preprocessing(image_size=32))
    assert not plain.agrees_with(Preprocessing(pixels=PixelRules(slice_axis="coronal")))


@pytest.mark.parametrize(
    "changes",
    [
        {"image_size": 0},
        {"pixels": {"window": None}},
        {"pixels": 3},
        {"mean": [0.5]},
        {"std": [0.5, 0, 0.5]},
        {"interpolation": "lanczos"},
        {"colour": "sepia"},
    ],
)
def test_impossible_preprocessing_is_refused(changes: dict) -> None:
    with pytest.raises(UserError):
        Preprocessing.from_dict(Preprocessing().to_dict() | changes)


def test_preprocessing_lacking_settings_is_refused() -> None:
    with pytest.raises(UserError, match="mean"):
        Preprocessing.from_dict({"image_size": 3})


@pytest.mark.parametrize(
    "changes",
    [{"image_size": 10**9}, {"std": (1.0, math.nan, 1.0)}, {"mean": (0.0, 0.0, math.inf)}],
)
def test_settings_without_bounds_are_user_errors(changes):
    with pytest.raises(UserError):
        Preprocessing(**changes)
