"""Explaining a list of images: records, reproducibility, interruption."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fakd_jax.errors import UserError
from fakd_jax.explanation.methods.lime import LimeExplainer
from fakd_jax.explanation.methods.rise import RiseExplainer
from fakd_jax.explanation.run import explain_images
from fakd_jax.explanation.scene.builder import PAPER
from fakd_jax.explanation.subjects import Subject
from fakd_jax.inference.network import Network
from tests.tiny import contents

CLASSES = ("dark", "bright")


def left_half(images: np.ndarray) -> np.ndarray:
    bright = images[:, :, :16].mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - bright, bright], axis=1).astype(np.float32)


def a_network(predict=left_half) -> Network:
    return Network.from_function(
        predict, class_names=CLASSES, image_size=32, batch_size=8, provenance={"arch": "fake"}
    )


def subjects(*seeds: int, prefix: str = "") -> list[Subject]:
    """Random images, larger than the network's input."""
    return [
        Subject(
            f"{prefix}Testing/bright/{seed}.png",
            "bright",
            lambda seed=seed: np.random.default_rng(seed).integers(0, 256, (40, 48, 3), np.uint8),
        )
        for seed in seeds
    ]


def run(
    output: Path, what: list[Subject], network: Network | None = None, **options: Any
) -> dict[str, bytes]:
    explain_images(what, network or a_network(), LimeExplainer(20), PAPER, output, **options)
    return contents(output)


def record_of(files: dict[str, bytes], name: str = "Testing_bright_1") -> dict[str, Any]:
    return json.loads(files[f"{name}/explanation.json"])


def test_equal_runs_write_equal_bytes_and_another_seed_other_weights(tmp_path: Path) -> None:
    first = run(tmp_path / "a", subjects(1))
    assert first == run(tmp_path / "b", subjects(1))
    other = run(tmp_path / "c", subjects(1), seed=1)
    assert record_of(first)["weights"] != record_of(other)["weights"]
    files = {
        f"Testing_bright_1/{name}" for name in ("explanation.json", "figure.png", "segments.png")
    }
    assert set(first) == {"explanations.json"} | files


def test_neither_order_nor_name_changes_an_explanation(tmp_path: Path) -> None:
    forward, backward = run(tmp_path / "a", subjects(1, 2)), run(tmp_path / "b", subjects(2, 1))
    for name in forward.keys() - {"explanations.json"}:
        assert forward[name] == backward[name]
    renamed = run(tmp_path / "c", subjects(1, prefix="elsewhere/"))
    other = record_of(renamed, "elsewhere_Testing_bright_1")
    assert other["weights"] == record_of(forward)["weights"]


def test_record_holds_decision_superpixels_fidelity_and_config(tmp_path: Path) -> None:
    files = run(tmp_path, subjects(1))
    record = record_of(files)
    assert record["id"] == "Testing/bright/1.png"
    assert record["true_class"] == "bright"
    assert set(record["probabilities"]) == set(CLASSES)
    best = max(record["probabilities"], key=record["probabilities"].get)
    assert record["prediction"] == record["explained_class"] == best
    assert record["probability"] == record["probabilities"][best]
    assert record["image"]["original_size"] == [40, 48]
    assert record["image"]["explained_size"] == [32, 32]
    assert record["checkpoint"] == {"arch": "fake"}
    assert record["config"]["scene"]["segmenter"]["name"] == "quickshift"
    for key, value in {"num_samples": 20, "top": 3, "seed": 0, "kernel_width": 0.25}.items():
        assert record["config"][key] == value

    labels = np.asarray(Image.open(io.BytesIO(files["Testing_bright_1/segments.png"])))
    counts = np.bincount(labels.ravel())[1:]  # 0 is background
    assert labels.shape == (32, 32)
    assert record["segments"]["pixels"] == counts.tolist()
    assert record["segments"]["count"] == len(counts) == len(record["weights"])
    heaviest = np.argsort(-np.abs(record["weights"]))[: len(record["top"])]
    assert [entry["superpixel"] for entry in record["top"]] == heaviest.tolist()
    for entry in record["top"]:
        assert entry["weight"] == record["weights"][entry["superpixel"]]
        assert entry["sign"] == ("positive" if entry["weight"] > 0 else "negative")
        assert entry["area"] == pytest.approx(counts[entry["superpixel"]] / 1024)

    stability = record["stability"]
    assert stability["num_samples"] == 20
    assert stability["stable"] == (stability["jaccard"] >= stability["target"])
    low, high = np.array(stability["ci95"]).T
    assert (low <= high).all()
    assert len(low) == len(record["weights"])

    index = json.loads(files["explanations.json"])
    (entry,) = index["explanations"]
    assert entry["fidelity_r2"] == record["fidelity_r2"]
    assert (tmp_path / entry["figure"]).is_file()
    assert (tmp_path / entry["explanation"]).is_file()


def test_the_network_gets_one_shape_and_progress_adds_up(tmp_path: Path) -> None:
    shapes, counts = set(), []

    def predict(images: np.ndarray) -> np.ndarray:
        shapes.add((images.shape, images.dtype))
        return left_half(images)

    run(tmp_path, subjects(1), a_network(predict), on_predictions=counts.append)
    assert shapes == {((8, 32, 32, 3), np.dtype(np.uint8))}
    assert sum(counts) == LimeExplainer(20).num_predictions + 1


def test_interruption_leaves_whole_files_of_what_was_done(tmp_path: Path) -> None:
    calls = 0

    def interrupted(images: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls > 6:
            raise KeyboardInterrupt
        return left_half(images)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, subjects(1, 2, 3), a_network(interrupted))
    files = contents(tmp_path)
    index = json.loads(files["explanations.json"])
    assert [entry["id"] for entry in index["explanations"]] == ["Testing/bright/1.png"]
    assert sum(name.endswith("explanation.json") for name in files) == 1
    assert not [name for name in files if "partial" in name]


def test_a_second_run_replaces_the_first(tmp_path: Path) -> None:
    explain_images(subjects(1), a_network(), RiseExplainer(num_samples=30), PAPER, tmp_path)
    folder = tmp_path / "Testing_bright_1"
    assert (folder / "attribution.npy").exists()
    run(tmp_path, subjects(1))
    assert not (folder / "attribution.npy").exists()
    (folder / "segments.png").unlink()
    (folder / "segments.png").mkdir()
    with pytest.raises(UserError, match=r"segments.png"):
        run(tmp_path, subjects(1), seed=1)
    assert not (folder / "explanation.json").exists(), "it would describe another run's files"


@pytest.mark.parametrize(("option", "value"), [("top", 0), ("seed", -1)])
def test_settings_out_of_range_write_nothing(tmp_path: Path, option: str, value: int) -> None:
    with pytest.raises(UserError, match=option):
        run(tmp_path, subjects(1), **{option: value})
    assert contents(tmp_path) == {}
