"""Classifiers without medical knowledge, on pictures whose shortcut is known."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.audit import shortcuts
from fakd_jax.audit.inventory import FileFacts
from fakd_jax.audit.matching import appearance
from fakd_jax.audit.matching.appearance import SIDE, Thumbnails
from fakd_jax.audit.shortcuts import from_metadata, nearest_neighbour


def thumbnails_of(grey: np.ndarray) -> Thumbnails:
    n = len(grey)
    return Thumbnails(grey, tuple(map(str, range(n))), ((SIDE, SIDE),) * n, np.zeros(n, bool))


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(100, 30, (8, SIDE, SIDE)).astype(np.float32)


def test_a_mirrored_training_image_is_found(noise: np.ndarray) -> None:
    grey = np.concatenate([noise, noise[:2, :, ::-1] + 1])
    labels = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 1])
    groups = np.array([0, 1, 2, 3, 4, 5, 6, 7, 0, 1])
    splits = ["train"] * 8 + ["test"] * 2
    every, copied, by_group = nearest_neighbour(thumbnails_of(grey), labels, splits, groups)
    assert (every.right, every.n) == (2, 2)
    assert (copied.right, copied.n) == (2, 2)
    assert copied.images == "test images with a duplicate in training"
    assert by_group.n == 10


def test_an_image_s_own_group_is_never_its_neighbour(noise: np.ndarray) -> None:
    # Each class is one pair of duplicates: only an image of the same group could be right.
    grey, labels = np.concatenate([noise, noise + 0.1]), np.tile(np.arange(8), 2)
    (only,) = nearest_neighbour(thumbnails_of(grey), labels, ["train"] * 16, groups=labels)
    assert only.images == "all images"
    assert only.right == 0
    assert only.chance == pytest.approx(1 / 8)


def test_of_many_images_some_are_looked_up_among_all(monkeypatch, noise: np.ndarray) -> None:
    grey = np.concatenate([noise, noise[..., ::-1] + 1])
    labels, splits = np.tile(np.arange(8), 2), ["train"] * 8 + ["test"] * 8
    every, *_ = nearest_neighbour(thumbnails_of(grey), labels, splits, np.arange(16))
    assert (every.right, every.n) == (8, 8)
    monkeypatch.setattr(shortcuts, "TRIED_ALL", 5)
    monkeypatch.setattr(shortcuts, "LOOKED_UP", 3)
    monkeypatch.setattr(shortcuts, "BLOCK", 2)
    held = []

    def halve(images: np.ndarray) -> np.ndarray:
        held.append(len(images))
        return appearance.halve(images)

    monkeypatch.setattr(shortcuts, "halve", halve)
    test, _, by_group = nearest_neighbour(
        thumbnails_of(np.rint(grey).astype(np.uint8)), labels, splits, np.arange(16)
    )
    assert (test.images, test.right, test.n) == ("all test images, 3 drawn", 3, 3)
    assert (by_group.images, by_group.right, by_group.n) == ("all images, 3 drawn", 3, 3)
    assert max(held) == 2  # as float32: images may be many


def test_a_forest_predicts_classes_from_files_or_brightness_but_not_from_noise(monkeypatch) -> None:
    monkeypatch.setattr(shortcuts, "TREES", 10)
    random = np.random.default_rng(0)
    n = 100
    grey = random.normal(100, 30, (n, SIDE, SIDE)).astype(np.float32)
    labels = np.arange(n) % 2
    groups = np.arange(n)
    telling = [FileFacts(1000 + 500 * int(label), "JPEG", 3) for label in labels]
    equal = [FileFacts(1000, "JPEG", 3)] * n
    file, _ = from_metadata(thumbnails_of(grey), telling, labels, groups)
    assert file.right == n
    darker = (grey - 40 * labels[:, None, None]).astype(np.float32)
    file, brightness = from_metadata(thumbnails_of(darker), equal, labels, groups)
    assert file.right <= 0.6 * n
    assert brightness.right == n


def test_too_few_groups_for_the_folds_give_no_result(noise: np.ndarray) -> None:
    labels, groups = np.arange(8) // 4, np.array([0, 0, 0, 0, 1, 2, 3, 4])
    facts = [FileFacts(1, "PNG", 1)] * 8
    assert from_metadata(thumbnails_of(noise), facts, labels, groups) == []
