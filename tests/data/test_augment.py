from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from fakd_jax.data.augment import Augmentation, augment_batch, flip_and_rotate
from fakd_jax.errors import UserError

GOLDENS = Path(__file__).parent.parent / "goldens" / "images.npz"


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 47, 61, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def apply() -> Callable[..., np.ndarray]:
    compiled = jax.jit(flip_and_rotate, static_argnames="interpolation")
    return lambda *args, **options: np.asarray(compiled(*args, **options))


def pil(image: np.ndarray, *, flip: bool, angle: float, interpolation: str) -> np.ndarray:
    """PIL's flip and rotation of one image, which torchvision calls."""
    picture = Image.fromarray(image)
    if flip:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    resample = Image.Resampling[interpolation.upper()]
    return np.array(picture.rotate(angle, resample, expand=False, fillcolor=(0, 0, 0)))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("limit", [15, 180])
def test_equals_pil(
    images: np.ndarray, apply: Callable[..., np.ndarray], limit: float, interpolation: str
) -> None:
    rng = np.random.default_rng(1)
    flips = rng.random(len(images)) < 0.5
    angles = rng.uniform(-limit, limit, len(images)).astype(np.float32)
    ours = apply(images, flips, angles, interpolation=interpolation)
    pils = np.stack(
        [
            pil(image, flip=bool(flip), angle=float(angle), interpolation=interpolation)
            for image, flip, angle in zip(images, flips, angles, strict=True)
        ]
    )
    if interpolation == "nearest":  # a fixed-point step that float32 rounds otherwise
        assert (ours == pils).all(axis=-1).mean() > 0.9999
    else:  # fractions just below or above a whole grey level, and edges likewise
        difference = abs(ours.astype(int) - pils)
        assert (difference <= 1).mean() > 0.9999
        assert (difference == 0).mean() > 0.99


@pytest.mark.parametrize("name", [pytest.param("wide", marks=pytest.mark.slow), "tall"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_equals_torchvision(
    apply: Callable[..., np.ndarray], name: str, interpolation: str
) -> None:
    goldens = np.load(GOLDENS)
    angles = goldens["angles"]
    batch = np.repeat(goldens[f"{name}.input"][None], len(angles), axis=0)
    flips = np.ones(len(angles), bool)
    ours = apply(batch, flips, angles, interpolation=interpolation)
    theirs = np.stack([goldens[f"{name}.{interpolation}.{i}"] for i in range(len(angles))])
    difference = abs(ours.astype(int) - theirs)
    if interpolation == "nearest":
        np.testing.assert_array_equal(ours, theirs)
    assert difference.max() <= 1
    hosts = [
        pil(image, flip=True, angle=float(angle), interpolation=interpolation)
        for image, angle in zip(batch, angles, strict=True)
    ]
    np.testing.assert_array_equal(np.stack(hosts), theirs)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_angle_zero_is_the_identity(
    images: np.ndarray, apply: Callable[..., np.ndarray], interpolation: str
) -> None:
    still = np.zeros(len(images), np.float32)
    flips = np.arange(len(images)) % 2 == 1
    ours = apply(images, flips, still, interpolation=interpolation)
    np.testing.assert_array_equal(ours[::2], images[::2])
    np.testing.assert_array_equal(ours[1::2], images[1::2, :, ::-1])
    twice = apply(ours, flips, still, interpolation=interpolation)
    np.testing.assert_array_equal(twice, images)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_quarter_turns_of_a_square(
    images: np.ndarray, apply: Callable[..., np.ndarray], degrees: int
) -> None:
    """Exact to the rounding of float32 at one edge, where places fall between two pixels."""
    squares = images[:, :32, :32]
    angles = np.full(len(squares), degrees, np.float32)
    ours = apply(squares, np.zeros(len(squares), bool), angles, interpolation="nearest")
    turned = np.rot90(squares, degrees // 90, axes=(1, 2))
    assert (ours == turned).all(axis=-1)[:, 1:-1, 1:-1].mean() > 0.99


def test_nearest_makes_no_new_grey_level(
    images: np.ndarray, apply: Callable[..., np.ndarray]
) -> None:
    few = np.random.default_rng(2).choice(np.uint8([3, 90, 201]), images.shape)
    angles = np.linspace(-15, 15, len(images), dtype=np.float32)
    ours = apply(few, angles > 0, angles, interpolation="nearest")
    assert set(np.unique(ours)) == {0, 3, 90, 201}


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_uncovered_corners_are_black(
    images: np.ndarray, apply: Callable[..., np.ndarray], interpolation: str
) -> None:
    white = np.full_like(images, 255)
    angles = np.resize(np.float32([15, -15]), len(images))
    ours = apply(white, angles > 0, angles, interpolation=interpolation)
    assert not ours[:, [0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert (ours[:, 15:30, 15:45] == 255).all()


def test_key_decides_and_images_differ() -> None:
    images = np.tile(
        np.random.default_rng(3).integers(0, 256, (1, 24, 24, 3), np.uint8), (8, 1, 1, 1)
    )
    augment = jax.jit(partial(augment_batch, augmentation=Augmentation()))
    first = np.asarray(augment(jax.random.key(0), images))
    np.testing.assert_array_equal(first, augment(jax.random.key(0), images))
    assert (first != np.asarray(augment(jax.random.key(1), images))).any()
    assert len(np.unique(first.reshape(8, -1), axis=0)) == 8
    assert first.dtype == np.uint8


@pytest.mark.parametrize(
    "probability",
    [pytest.param(0.0, marks=pytest.mark.slow), 0.3, pytest.param(1.0, marks=pytest.mark.slow)],
)
def test_flips_come_as_often_as_asked(probability: float) -> None:
    images = np.zeros((4000, 8, 8, 3), np.uint8)
    images[:, :, :4] = 255  # the left half is white
    augmentation = Augmentation(flip_probability=probability, rotation_degrees=0.0)
    augment = jax.jit(augment_batch, static_argnums=2)
    ours = np.asarray(augment(jax.random.key(5), images, augmentation))
    share = (ours[:, 0, 0, 0] == 0).mean()
    assert abs(share - probability) < 4 * np.sqrt(probability * (1 - probability) / 4000) + 1e-9


def test_angles_are_uniform() -> None:
    """Read back from where a rotation takes the centre of a white spot."""
    rows, columns = np.mgrid[:33, :33] - 16.0
    spot = (np.hypot(rows, columns - 10) < 4).astype(np.uint8) * 255
    images = np.repeat(np.repeat(spot[None, ..., None], 3, axis=-1), 600, axis=0)
    augmentation = Augmentation(flip_probability=0.0, rotation_interpolation="bilinear")
    augment = jax.jit(augment_batch, static_argnums=2)
    ours = np.asarray(augment(jax.random.key(6), images, augmentation))[..., 0] / 255.0
    mass = ours.sum(axis=(1, 2))
    angles = np.degrees(
        np.arctan2(-(ours * rows).sum(axis=(1, 2)) / mass, (ours * columns).sum(axis=(1, 2)) / mass)
    )
    assert abs(angles).max() < 15.5
    counts, _ = np.histogram(angles, bins=5, range=(-15, 15))
    assert ((counts - 120) ** 2 / 120).sum() < 18.5  # chi-squared, 4 degrees of freedom, p = .001


@pytest.mark.parametrize(
    "changes",
    [
        {"flip_probability": -0.1},
        {"flip_probability": 1.1},
        {"rotation_degrees": -1.0},
        {"rotation_degrees": 181.0},
        {"rotation_interpolation": "bicubic"},
        {"mixup_alpha": -0.1},
    ],
)
def test_impossible_settings_are_refused(changes: dict) -> None:
    with pytest.raises(UserError):
        Augmentation(**changes)


def test_unknown_interpolation_is_a_programming_error(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="bicubic"):
        flip_and_rotate(
            images, np.zeros(64, bool), np.zeros(64, np.float32), interpolation="bicubic"
        )
