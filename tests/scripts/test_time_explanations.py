"""The script that times explanations: what it compares and prints."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from fakd_jax.inference.network import Network

SIDE = 32


@pytest.fixture(scope="module")
def script(load_script) -> ModuleType:
    return load_script("time_explanations")


def bright(images: np.ndarray) -> np.ndarray:
    shares = (images > 128).mean(axis=(1, 2, 3))
    return np.stack([1 - shares, shares], axis=1).astype(np.float32)


def test_both_limes_give_the_same_weights_and_are_timed(script: ModuleType) -> None:
    network = Network.from_function(bright, class_names=("a", "b"), image_size=SIDE, batch_size=8)
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (SIDE, SIDE, 3), np.uint8) for _ in range(3)]
    found = script.compare_limes(images, network, 40)
    assert found["largest_difference_of_weights"] < 1e-6
    assert {name: len(taken) for name, taken in found["seconds"].items()} == {
        "lime": 3,
        "lime-package": 3,
    }
    medians = found["median_seconds"]
    assert found["speed_up"] == pytest.approx(medians["package"] / medians["ours"])


def test_the_table_has_ratio_difference_and_seconds(script: ModuleType) -> None:
    record = {
        "num_samples": 1000,
        "images": 4,
        "lime": {
            "median_seconds": {"ours": 2.0, "package": 5.0},
            "speed_up": 2.5,
            "largest_difference_of_weights": 3e-8,
        },
        "methods": [{"method": "scene", "median_seconds": 0.125}],
    }
    assert script.table(record).splitlines() == [
        "LIME, 1,000 samples, 4 images: ours 2.00 s, the lime package 5.00 s, 2.50 times as fast; "
        "weights differ by 3.0e-08 at most",
        "",
        "method  seconds",
        "------  -------",
        "scene      0.12",
    ]
