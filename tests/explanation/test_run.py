"""Explaining a list of images: records, reproducibility, interruption, resumption, pages."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from fakd_jax.errors import UserError
from fakd_jax.explanation.journal import open_journal
from fakd_jax.explanation.methods.lime import LimeExplainer
from fakd_jax.explanation.methods.rise import RiseExplainer
from fakd_jax.explanation.report import index
from fakd_jax.explanation.report.reading import NOT_SHOWN
from fakd_jax.explanation.run import explain_images
from fakd_jax.explanation.scene.builder import PAPER
from fakd_jax.explanation.subjects import Subject
from fakd_jax.explanation.target import TargetRule
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
    """Explains without figures, which take most of the time."""
    options = {"figures": False, **options}
    explain_images(what, network or a_network(), LimeExplainer(20), PAPER, output, **options)
    return contents(output)


def listed(files: dict[str, bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files["explanations.jsonl"].splitlines()]


def record_of(files: dict[str, bytes], name: str = "Testing_bright_1") -> dict[str, Any]:
    return json.loads(files[f"{name}/explanation.json"])


def test_equal_runs_write_equal_bytes_and_another_seed_other_weights(tmp_path: Path) -> None:
    first = run(tmp_path / "a", subjects(1), figures=True)
    assert first == run(tmp_path / "b", subjects(1), figures=True)
    other = run(tmp_path / "c", subjects(1), seed=1)
    assert record_of(first)["weights"] != record_of(other)["weights"]
    pictures = {"figure.png", "overlay.png", "attribution_original.png", "attribution_original.npy"}
    names = {"explanation.json", "segments.png", "thumbnail.png"} | pictures
    files = {f"Testing_bright_1/{name}" for name in names}
    common = {"settings.json", "explanations.jsonl", "index.html", ".lock"}
    assert set(first) == common | files
    assert set(other) == set(first) - {f"Testing_bright_1/{name}" for name in pictures}


def test_attribution_of_the_original_has_its_size_and_makes_the_overlay(tmp_path: Path) -> None:
    files = run(tmp_path, subjects(1), figures=True)
    attribution = np.load(io.BytesIO(files["Testing_bright_1/attribution_original.npy"]))
    weights = record_of(files)["weights"]
    assert attribution.shape == (40, 48)
    assert set(np.unique(attribution)) <= set(np.float32([*weights, 0]))
    original = Image.fromarray(subjects(1)[0].read()).convert("RGBA")
    with Image.open(io.BytesIO(files["Testing_bright_1/attribution_original.png"])) as layer:
        laid = np.asarray(Image.alpha_composite(original, layer).convert("RGB")).astype(int)
    with Image.open(io.BytesIO(files["Testing_bright_1/overlay.png"])) as overlay:
        assert np.abs(laid - np.asarray(overlay)).max() <= 2


def test_another_class_and_a_contrast_are_explained_and_recorded(tmp_path: Path) -> None:
    predicted = run(tmp_path / "a", subjects(1))
    other = run(tmp_path / "b", subjects(1), rule=TargetRule("runner-up"))
    contrast = run(tmp_path / "c", subjects(1), rule=TargetRule("bright", "dark"))
    first, second, third = map(record_of, (predicted, other, contrast))
    assert first["config"]["class"] == "predicted"
    assert {first["explained_class"], second["explained_class"]} == set(CLASSES)
    np.testing.assert_allclose(first["weights"], np.negative(second["weights"]), atol=1e-6)
    assert third["config"]["score"] == "log-odds"
    assert (third["explained_class"], third["contrast_class"]) == ("bright", "dark")
    assert "against dark" in third["reading"]
    assert listed(contrast)[0]["evidence_in_top"] == third["evidence_in_top"]
    with pytest.raises(UserError, match="other settings"):
        run(tmp_path / "a", subjects(1), rule=TargetRule("bright", "dark"))


def test_neither_order_nor_name_changes_an_explanation(tmp_path: Path) -> None:
    forward, backward = run(tmp_path / "a", subjects(1, 2)), run(tmp_path / "b", subjects(2, 1))
    for name in forward.keys() - {"explanations.jsonl", "index.html"}:
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

    (entry,) = listed(files)
    assert entry["fidelity_r2"] == record["fidelity_r2"]
    assert entry["image_sha256"] == record["image"]["sha256"]
    assert entry["figure"] is None
    for key in ("thumbnail", "explanation"):
        assert (tmp_path / entry[key]).is_file()
    assert record["config"]["score"] == "probability"
    assert record["feature_map"] is record["completeness"] is None


def test_the_network_gets_one_shape_and_progress_adds_up(tmp_path: Path) -> None:
    shapes, counts = set(), []

    def predict(images: np.ndarray) -> np.ndarray:
        shapes.add((images.shape, images.dtype))
        return left_half(images)

    run(tmp_path, subjects(1), a_network(predict), on_predictions=counts.append)
    assert shapes == {((8, 32, 32, 3), np.dtype(np.uint8))}
    assert sum(counts) == LimeExplainer(20).num_predictions + 1


def stopping(after: int, error: type[BaseException] = KeyboardInterrupt) -> Callable[..., None]:
    """A callback that stops the run after so many images."""
    done = []

    def on_done(*arguments: object) -> None:
        done.append(arguments)
        if len(done) == after:
            raise error

    return on_done


def test_an_interrupted_run_continues_to_the_same_bytes(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", subjects(1, 2, 3, 4))
    output = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        run(output, subjects(1, 2, 3, 4), on_done=stopping(2))
    assert [entry["id"] for entry in listed(contents(output))] == [
        "Testing/bright/1.png",
        "Testing/bright/2.png",
    ]
    known, done = [], []
    continued = run(
        output,
        subjects(1, 2, 3, 4),
        on_known=known.append,
        on_done=lambda entry, explanation: done.append(entry["id"]),
    )
    assert known == [2]
    assert done == ["Testing/bright/3.png", "Testing/bright/4.png"]
    assert continued == whole


def test_ids_that_would_share_a_folder_have_the_same_ones_after_an_interruption(
    tmp_path: Path,
) -> None:
    alike = [
        replace(subject, id=id)
        for subject, id in zip(subjects(1, 2), ("a/1.png", "a/1.jpg"), strict=True)
    ]
    whole = run(tmp_path / "whole", alike)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", alike, on_done=stopping(1))
    assert run(tmp_path / "parts", alike) == whole


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is full")
def test_a_list_on_a_full_disk_is_an_error_of_one_line(tmp_path: Path) -> None:
    with open_journal(tmp_path, {}) as journal:
        (tmp_path / "explanations.jsonl").unlink()
        (tmp_path / "explanations.jsonl").symlink_to("/dev/full")
        with pytest.raises(UserError, match="cannot write"):
            journal.append({"id": "a"})


@pytest.mark.parametrize("damage", ["torn", "no newline", "twice", "no record", "not JSON"])
def test_a_list_cut_off_anywhere_neither_doubles_nor_loses_an_image(
    tmp_path: Path, damage: str
) -> None:
    whole = run(tmp_path, subjects(1, 2, 3))
    path = tmp_path / "explanations.jsonl"
    first, second, third = path.read_bytes().splitlines(keepends=True)
    if damage == "torn":
        path.write_bytes(first + second + third[:40])
    elif damage == "no newline":
        path.write_bytes(first + second + third[:-1])
    elif damage == "twice":
        path.write_bytes(first + second + third + second)
    elif damage == "no record":
        (tmp_path / json.loads(third)["explanation"]).unlink()
    else:
        path.write_bytes(first + second + b"[1]\n\xff\n" + third)
    assert run(tmp_path, subjects(1, 2, 3)) == whole


def test_the_list_is_appended_to_never_rewritten(tmp_path: Path) -> None:
    path, seen = tmp_path / "explanations.jsonl", []

    def look(entry: dict[str, Any], explanation: object) -> None:
        seen.append((path.stat().st_ino, path.read_bytes()))

    run(tmp_path, subjects(1, 2, 3), on_done=look)
    assert len({inode for inode, _ in seen}) == 1
    for (_, before), (_, after) in pairwise(seen):
        assert after.startswith(before)
        assert len(after) > len(before)


def test_other_settings_are_refused_and_restarted_on_request(tmp_path: Path) -> None:
    before = run(tmp_path, subjects(1, 2))
    with pytest.raises(UserError, match=r"2 explanations by other settings.*seed: 0, now 1"):
        run(tmp_path, subjects(1, 2, 3), seed=1)
    assert contents(tmp_path) == before
    after = run(tmp_path, subjects(2), seed=1, restart=True)
    assert [entry["id"] for entry in listed(after)] == ["Testing/bright/2.png"]
    assert json.loads(after["settings.json"])["config"]["seed"] == 1


def test_settings_of_a_run_that_explained_nothing_do_not_bind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="broken"):
        run(tmp_path, [Subject("a", None, raising(UserError("broken")))])
    assert len(listed(run(tmp_path, subjects(1), seed=1))) == 1


def raising(error: Exception) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        raise error

    return read


def test_more_images_per_class_are_added(tmp_path: Path) -> None:
    facts = {"name": "n", "fingerprint": "f", "split": "test"}
    run(tmp_path, subjects(1), data=facts | {"per_class": 1})
    read_again = [replace(subjects(1)[0], read=raising(AssertionError("read again")))]
    files = run(tmp_path, read_again + subjects(2), data=facts | {"per_class": 2})
    assert len(listed(files)) == 2
    with pytest.raises(UserError, match="fingerprint"):
        run(tmp_path, subjects(1), data=facts | {"fingerprint": "g", "per_class": 1})


def test_a_loose_file_that_changed_is_explained_again(tmp_path: Path) -> None:
    run(tmp_path, subjects(1, 2))
    other = replace(subjects(3)[0], id="Testing/bright/1.png")
    files = run(tmp_path, [other, *subjects(2)])
    entries = {entry["id"]: entry for entry in listed(files)}
    assert len(entries) == len(listed(files)) == 2
    record = record_of(files)
    assert entries["Testing/bright/1.png"]["image_sha256"] == record["image"]["sha256"]
    assert record["weights"] == record_of(run(tmp_path / "new", [other]))["weights"]


def test_loose_files_are_read_under_the_lock_and_not_for_a_restart(tmp_path: Path) -> None:
    run(tmp_path, subjects(1))
    reads = []

    def read() -> np.ndarray:
        reads.append("read")
        with pytest.raises(UserError, match="another process"), open_journal(tmp_path, {}):
            raise AssertionError("not locked")
        return subjects(1)[0].read()

    watched = [replace(subjects(1)[0], read=read)]
    run(tmp_path, watched)
    assert reads == ["read"]  # to compare
    run(tmp_path, watched, restart=True)
    assert reads == ["read"] * 2  # to explain


def test_images_of_a_later_call_never_share_a_folder(tmp_path: Path) -> None:
    alike = [
        replace(subject, id=id)
        for subject, id in zip(subjects(1, 2), ("a/x.png", "A_x.jpg"), strict=True)
    ]
    for subject in alike:
        files = run(tmp_path, [subject])
    first, second = listed(files)
    assert first["folder"] == "a_x"
    assert second["folder"].startswith("A_x-")
    assert record_of(files, "a_x")["id"] == "a/x.png"
    assert run(tmp_path, alike) == files


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with (
        open_journal(tmp_path, {}),
        pytest.raises(UserError, match="another process is explaining"),
    ):
        run(tmp_path, subjects(1))
    run(tmp_path, subjects(1))


def test_a_failed_image_leaves_no_record_of_another_run(tmp_path: Path) -> None:
    explain_images(
        subjects(1), a_network(), RiseExplainer(num_samples=30), PAPER, tmp_path, figures=False
    )
    folder = tmp_path / "Testing_bright_1"
    assert (folder / "attribution.npy").exists()
    run(tmp_path, subjects(1), restart=True)
    assert not (folder / "attribution.npy").exists()
    (folder / "segments.png").unlink()
    (folder / "segments.png").mkdir()
    with pytest.raises(UserError, match=r"segments.png"):
        run(tmp_path, subjects(1), seed=1, restart=True)
    assert not (folder / "explanation.json").exists(), "it would describe another run's files"


def test_pages_link_to_pictures_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "PER_PAGE", 2)
    hostile = replace(subjects(9)[0], id="<b>&%41.png", true_class="neither")
    files = run(tmp_path, [*subjects(1, 2, 3, 4), hostile])
    pages = {name: files[name].decode() for name in files if name.endswith(".html")}
    assert set(pages) == {"index.html", "index-2.html", "index-3.html"}
    links = {
        name: [unquote(unescape(link)) for link in re.findall('(?:href|src)="([^"]*)"', page)]
        for name, page in pages.items()
    }
    shown = [link for found in links.values() for link in found if link.endswith(".png")]
    assert sorted(shown) == sorted(entry["thumbnail"] for entry in listed(files))
    for found in links.values():
        assert all((tmp_path / link).is_file() for link in found)
    assert {"index.html", "index-3.html"} <= set(links["index-2.html"])
    assert "index-2.html" in links["index.html"]
    for page in pages.values():
        assert "base64" not in page
        assert "<b>" not in page
    assert "WRONG" in pages["index-3.html"]
    fewer = run(tmp_path, [hostile], restart=True)
    assert [name for name in fewer if name.endswith(".html")] == ["index.html"]


def test_a_page_of_contrasts_names_both_classes_and_links_to_the_overlays(tmp_path: Path) -> None:
    files = run(tmp_path, subjects(1), rule=TargetRule("bright", "dark"), figures=True)
    page = files["index.html"].decode()
    assert "explains bright against dark" in page
    assert NOT_SHOWN in page
    assert f'href="{listed(files)[0]["overlay"]}"' in page


@pytest.mark.parametrize(("option", "value"), [("top", 0), ("seed", -1)])
def test_settings_out_of_range_write_nothing(tmp_path: Path, option: str, value: int) -> None:
    with pytest.raises(UserError, match=option):
        run(tmp_path, subjects(1), **{option: value})
    assert contents(tmp_path) == {}
