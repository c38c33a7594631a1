from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.data import appearance
from fakd_jax.data.appearance import METADATA_KEY, Appearance, describe_differences
from fakd_jax.errors import UserError

NOISE = np.random.default_rng(0).normal(size=(16, 16, 1))
NOISE = (NOISE - NOISE.mean()) / NOISE.std()


class Images:
    """Images of noise with chosen mean and spread, by id."""

    def __init__(self, **drawn: tuple[float, float]) -> None:
        self.examples = list(drawn)
        self._images = [
            np.clip(mean + spread * NOISE, 0, 255).astype(np.uint8).repeat(3, -1)
            for mean, spread in drawn.values()
        ]

    def __len__(self) -> int:
        return len(self.examples)

    def index_of(self, id: str) -> int:
        return self.examples.index(id)

    def read(self, index: int) -> np.ndarray:
        return self._images[index]


KNOWN = Appearance(darkest=60, brightest=105, flattest=20)


def test_percentiles_of_the_training_images_are_kept() -> None:
    images = Images(**{str(mean): (mean, 20) for mean in range(60, 110, 5)})
    found = Appearance.of(images, images.examples, 16)
    assert found.darkest == pytest.approx(60, abs=3)
    assert found.brightest == pytest.approx(105, abs=4)
    assert found.flattest == pytest.approx(20, abs=2)
    assert Appearance.of_training({METADATA_KEY: found.to_dict()}) == found
    assert Appearance.of_training({}) is None


@pytest.mark.parametrize(
    ("mean", "spread", "difference"),
    [
        (80, 25, ""),
        (33, 15, ""),
        (25, 15, "much darker"),
        (80, 6, "almost no contrast"),
        (170, 25, ""),
        (200, 25, "much brighter"),
    ],
)
def test_images_twice_as_far_off_are_named(mean: float, spread: float, difference: str) -> None:
    images = Images(x=(mean, spread))
    assert KNOWN.difference(images.read(0)) == difference


def test_one_line_counts_them_and_names_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    images = Images(a=(80, 25), b=(5, 2), c=(90, 3))
    line = KNOWN.describe_unlike(images, images.examples, 16)
    assert line.startswith("2 of 3 images looked at are much unlike the training images: b (much")
    assert "c (almost no contrast)" in line
    assert KNOWN.describe_unlike(images, ["a"], 16) == describe_differences({"a": ""}) == ""
    monkeypatch.setattr(appearance, "MAX_IMAGES", 1)
    assert KNOWN.describe_unlike(images, images.examples, 16) == ""


@pytest.mark.parametrize(
    "damage", [{"darkest": "60"}, {"brightest": -3}, {"shade": 4}, {"flattest": float("nan")}]
)
def test_a_damaged_record_is_refused(damage: dict) -> None:
    with pytest.raises(UserError, match="damaged"):
        Appearance.of_training({METADATA_KEY: KNOWN.to_dict() | damage})
