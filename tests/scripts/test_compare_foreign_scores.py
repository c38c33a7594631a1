"""The comparison of scores of foreign images: formulas, images, and a row of the table."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.covariance import EmpiricalCovariance

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
GENERATOR = np.random.default_rng(0)
CENTRES = np.array([[4, 0, 0, 1], [0, 4, 0, 1], [0, 0, 4, 1]], np.float64)


@pytest.fixture(autouse=True)
def _scripts_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))


@pytest.fixture
def scores() -> ModuleType:
    return importlib.import_module("foreign.scores")


def outputs(scores: ModuleType, count: int, spread: float = 0.3):
    """Features around three centres; the logits are their first three."""
    labels = np.arange(count) % 3
    features = CENTRES[labels] + spread * GENERATOR.standard_normal((count, 4))
    return scores.Outputs(features, features[:, :3], labels)


def test_energy_by_hand(scores: ModuleType) -> None:
    logits = np.log([[1.0, 2.0, 5.0]])
    given = scores.Outputs(np.zeros((1, 4)), logits, np.zeros(1, int))
    np.testing.assert_allclose(scores.energy(given).of(given), [-np.log(8)])


def test_mahalanobis_is_that_of_scikit_learn(
    scores: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "RIDGE", 0.0)
    training, other = outputs(scores, 300), outputs(scores, 9)
    features, labels = training.features, training.labels
    means = np.stack([features[labels == label].mean(axis=0) for label in range(3)])
    within = EmpiricalCovariance(assume_centered=True).fit(features - means[labels])
    nearest = cdist(other.features, means, "mahalanobis", VI=within.precision_).min(axis=1) ** 2
    np.testing.assert_allclose(scores.mahalanobis(training).of(other), nearest, rtol=1e-6)
    overall = EmpiricalCovariance().fit(features).mahalanobis(other.features)
    relative = scores.mahalanobis(training, relative=True).of(other)
    np.testing.assert_allclose(relative, nearest - overall, rtol=1e-6)


def test_the_neighbour_is_the_kth_nearest(scores: ModuleType) -> None:
    training, other = outputs(scores, 30), outputs(scores, 5)
    distances = np.sort(cdist(other.features, training.features), axis=1)
    np.testing.assert_allclose(scores.neighbour(training, 3).of(other), distances[:, 2])


def test_foreign_images_are_drawn_alike_for_equal_seeds() -> None:
    images = importlib.import_module("foreign.images")
    tested = [GENERATOR.integers(0, 256, (48, 48, 3), np.uint8) for _ in range(4)]
    sets, again = (images.foreign_sets(tested, 48, 0) for _ in range(2))
    for name, drawn in sets.items():
        np.testing.assert_array_equal(drawn, again[name])
        assert {(image.shape, image.dtype.name) for image in drawn} == {((48, 48, 3), "uint8")}
    assert len(sets["photographs"]) == 8 * len(images.PHOTOGRAPHS)
    (patches,) = (drawn for name, drawn in sets.items() if name.startswith("4"))
    ordered = np.sort(np.concatenate([image.ravel() for image in tested]))
    np.testing.assert_array_equal(
        np.sort(np.concatenate([each.ravel() for each in patches])), ordered
    )


def test_a_row_has_the_shares_beyond_the_threshold(load_script, scores: ModuleType) -> None:
    script = load_script("compare_foreign_scores")
    score = scores.Score(lambda outputs: outputs.features[:, 0], 250_000)

    def ranked(values: np.ndarray):
        return scores.Outputs(
            np.asarray(values, float)[:, None], np.zeros((len(values), 3)), values
        )

    cells = script.row(
        "first",
        score,
        ranked(np.arange(93)),
        np.arange(93),
        ranked(np.array([0, 50, 91, 92])),
        {"far": ranked(np.array([200, 300])), "near": ranked(np.array([50, 92]))},
    )
    assert cells["stored"] == "1.00 MB"
    assert cells["real rejected"].startswith("25.00 %")  # above 91
    assert cells["far"].split() == ["1.000", "100%"]
    assert cells["near"].split()[1] == "50%"
