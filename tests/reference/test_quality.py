"""Image quality: what each defect is called, and what changes no verdict."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from fakd_jax.data.appearance import Appearance
from fakd_jax.data.resizing import resize
from fakd_jax.reference.quality import QualityLimits, measure

SIDE = 128
Y, X = np.mgrid[:SIDE, :SIDE]


def slice_of_a_head(seed: int) -> np.ndarray:
    """A textured ellipse in dark air, grey levels in float."""
    generator = np.random.default_rng(seed)
    height, width = generator.uniform(45, 55), generator.uniform(38, 48)
    head = ((Y - 64) / height) ** 2 + ((X - 64) / width) ** 2 < 1
    texture = gaussian_filter(generator.standard_normal((SIDE, SIDE)), 0.8) * 40
    return np.where(head, 110 + texture, 6 + generator.standard_normal((SIDE, SIDE)))


def as_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(np.rint(grey).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.fixture(scope="module")
def limits() -> QualityLimits:
    measured = [measure(as_rgb(slice_of_a_head(seed))) for seed in range(60)]
    return QualityLimits.of(measured, Appearance(30.0, 80.0, 40.0), SIDE)


def changed(name: str) -> np.ndarray:
    grey = slice_of_a_head(1000)
    noise = np.random.default_rng(1).standard_normal(grey.shape)
    return {
        "as it is": grey,
        "a milder window": 60 + 0.5 * grey,
        "blurred": gaussian_filter(grey, 1.5),
        "noisy": grey + 25 * noise,
        "no contrast": 50 + 0.3 * grey,
        "dark": 0.15 * grey,
        "inverted": 255 - 0.7 * grey,
        "blank": np.full_like(grey, 60),
    }[name]


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("as it is", ()),
        ("a milder window", ()),
        ("blurred", ("blurred",)),
        ("noisy", ("noisy",)),
        ("no contrast", ("almost no contrast",)),
        ("dark", ("much darker",)),
        ("inverted", ("much brighter", "no head found")),
        ("blank", ("almost no contrast", "blurred", "no head found")),
    ],
)
def test_the_reasons_name_the_defect(
    limits: QualityLimits, name: str, reasons: tuple[str, ...]
) -> None:
    assert limits.reasons(as_rgb(changed(name))) == reasons


def test_few_images_like_those_measured_are_poor(limits: QualityLimits) -> None:
    poor = [bool(limits.reasons(as_rgb(slice_of_a_head(seed)))) for seed in range(200, 240)]
    assert sum(poor) <= 4


def test_images_of_another_size_are_resized_first(limits: QualityLimits) -> None:
    wide = as_rgb(np.kron(slice_of_a_head(1), np.ones((1, 2))))
    assert limits.reasons(wide) == limits.reasons(resize(wide, SIDE))
    small = as_rgb(slice_of_a_head(1))[::4, ::4]
    assert "blurred" in limits.reasons(small)


def test_noise_is_measured_over_contrast() -> None:
    grey = np.where((Y // 32 + X // 32) % 2, 170.0, 90.0)
    noise = 8 * np.random.default_rng(0).standard_normal(grey.shape)
    found = measure(as_rgb(grey + noise)).noise
    assert found == pytest.approx(8 / (grey + noise).std(), rel=0.1)
    assert measure(as_rgb(100 + (grey + noise) / 2)).noise == pytest.approx(found, rel=0.1)


def test_where_training_images_show_no_head_none_is_expected() -> None:
    full = [measure(as_rgb(120 + 60 * np.sin(X / 3 + phase))) for phase in range(10)]
    limits = QualityLimits.of(full, Appearance(30.0, 200.0, 20.0), SIDE)
    assert not limits.head_expected
    assert "no head found" not in limits.reasons(as_rgb(changed("inverted")))


def test_settings_survive_as_json(limits: QualityLimits) -> None:
    assert QualityLimits.from_dict(limits.to_dict()) == limits
    with pytest.raises(TypeError):
        QualityLimits.from_dict(limits.to_dict() | {"colour": 1})
