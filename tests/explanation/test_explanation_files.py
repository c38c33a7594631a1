"""What is written: names, figures, records; the same bytes from the same arguments."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakd_jax.errors import UserError
from fakd_jax.explanation.api import image_seed
from fakd_jax.explanation.files import folder_names, json_bytes, label_map_bytes
from fakd_jax.explanation.methods.lime import LimeExplainer
from fakd_jax.explanation.methods.rise import RiseExplainer
from fakd_jax.explanation.report.figure import explanation_figure, figure_png, signed
from fakd_jax.explanation.result import (
    Explanation,
    LocalFit,
    painted,
    top_superpixels,
)
from fakd_jax.explanation.run import explain_images
from fakd_jax.explanation.scene.builder import PAPER
from fakd_jax.explanation.subjects import Subject
from fakd_jax.inference.network import Network

CLASSES = ("dark", "bright")


def an_explanation(weights: list[float]) -> Explanation:
    """Superpixels as four quarters of a 32 × 32 image."""
    segments = np.kron(np.arange(4, dtype=np.int32).reshape(2, 2), np.ones((16, 16), np.int32))
    values = np.array(weights)
    return Explanation(1, segments, values, painted(segments, values), LocalFit(0.1, 0.6, 0.8))


def draw_explanation(*arguments: object, **texts: str) -> bytes:
    return figure_png(explanation_figure(*arguments, **texts))


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


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run(output: Path, what: list[Subject], **options: int) -> dict[str, bytes]:
    explain_images(what, a_network(), LimeExplainer(20), PAPER, output, **options)
    return contents(output)


def test_same_run_same_bytes_and_another_seed_other_weights(tmp_path: Path) -> None:
    first = run(tmp_path / "a", subjects(1))
    assert first == run(tmp_path / "b", subjects(1))
    other = run(tmp_path / "c", subjects(1), seed=1)
    name = "Testing_bright_1/explanation.json"
    assert json.loads(first[name])["weights"] != json.loads(other[name])["weights"]
    assert set(first) == {
        "explanations.json",
        *(
            f"Testing_bright_1/{file}"
            for file in ("explanation.json", "figure.png", "segments.png")
        ),
    }


def test_neither_order_nor_name_changes_an_explanation(tmp_path: Path) -> None:
    forward, backward = run(tmp_path / "a", subjects(1, 2)), run(tmp_path / "b", subjects(2, 1))
    for name in forward.keys() - {"explanations.json"}:
        assert forward[name] == backward[name]
    renamed = run(tmp_path / "c", subjects(1, prefix="elsewhere/"))
    weights = [
        json.loads(files[name])["weights"]
        for files, name in (
            (forward, "Testing_bright_1/explanation.json"),
            (renamed, "elsewhere_Testing_bright_1/explanation.json"),
        )
    ]
    assert weights[0] == weights[1]


def test_record_holds_decision_superpixels_fidelity_and_config(tmp_path: Path) -> None:
    files = run(tmp_path, subjects(1))
    record = json.loads(files["Testing_bright_1/explanation.json"])
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

    index = json.loads(files["explanations.json"])
    (entry,) = index["explanations"]
    assert entry["fidelity_r2"] == record["fidelity_r2"]
    assert (tmp_path / entry["figure"]).is_file()
    assert (tmp_path / entry["explanation"]).is_file()


def test_network_sees_one_shape_only_and_progress_adds_up(tmp_path: Path) -> None:
    shapes, told = set(), []

    def predict(images: np.ndarray) -> np.ndarray:
        shapes.add((images.shape, images.dtype))
        return left_half(images)

    explainer = LimeExplainer(21)
    explain_images(
        subjects(1), a_network(predict), explainer, PAPER, tmp_path, on_predictions=told.append
    )
    assert shapes == {((8, 32, 32, 3), np.dtype(np.uint8))}
    assert sum(told) == explainer.num_predictions + 1


def test_interruption_leaves_whole_files_of_what_was_done(tmp_path: Path) -> None:
    calls = 0

    def interrupted(images: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls > 6:
            raise KeyboardInterrupt
        return left_half(images)

    with pytest.raises(KeyboardInterrupt):
        explain_images(
            subjects(1, 2, 3), a_network(interrupted), LimeExplainer(20), PAPER, tmp_path
        )
    files = contents(tmp_path)
    index = json.loads(files["explanations.json"])
    assert [entry["id"] for entry in index["explanations"]] == ["Testing/bright/1.png"]
    assert sum(name.endswith("explanation.json") for name in files) == 1
    assert not [name for name in files if "partial" in name]


def test_a_second_run_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    rise = RiseExplainer(num_samples=30)
    explain_images(subjects(1), a_network(), rise, PAPER, tmp_path)
    assert len(list(tmp_path.rglob("attribution.npy"))) == 1
    explain_images(subjects(1), a_network(), LimeExplainer(20), PAPER, tmp_path)
    assert not list(tmp_path.rglob("attribution.npy"))
    (record,) = tmp_path.rglob("explanation.json")
    record.parent.joinpath("segments.png").unlink()
    record.parent.joinpath("segments.png").mkdir()
    with pytest.raises(UserError, match=r"segments.png"):
        explain_images(subjects(1), a_network(), LimeExplainer(20), PAPER, tmp_path, seed=1)
    assert not record.exists(), "it vouches for files that are not its own"


@pytest.mark.parametrize(("option", "value"), [("top", 0), ("seed", -1)])
def test_settings_out_of_range_write_nothing(tmp_path: Path, option: str, value: int) -> None:
    with pytest.raises(UserError, match=option):
        run(tmp_path, subjects(1), **{option: value})
    assert contents(tmp_path) == {}


def test_figure_is_a_wide_png_without_software_or_time() -> None:
    explanation = an_explanation([0.3, -0.2, 0.0, 0.1])
    image = np.full((32, 32, 3), 90, np.uint8)
    arguments = {"title": "$x_1$ 98 %", "subtitle": "a_b^c$", "class_name": "$\\bad{"}
    first = draw_explanation(image, explanation, 3, **arguments)
    assert first == draw_explanation(image, explanation, 3, **arguments)
    with Image.open(io.BytesIO(first)) as figure:
        assert figure.size == (1600, 610)
        assert set(figure.info) <= {"dpi"}


def test_user_style_does_not_change_the_figure() -> None:
    import matplotlib as mpl

    explanation = an_explanation([0.3, -0.2, 0.0, 0.1])
    image = np.full((32, 32, 3), 90, np.uint8)
    figures = []
    for size in (10, 20):
        with mpl.rc_context({"font.size": size, "savefig.dpi": size * 5}):
            figures.append(
                draw_explanation(
                    image, explanation, 3, title="t", subtitle="s", class_name="bright"
                )
            )
    assert figures[0] == figures[1]


def panels_with_colour(weights: list[float], top: int) -> list[tuple[int, int]]:
    """Numbers of green and red pixels in each of the four panels."""
    image = np.full((32, 32, 3), 90, np.uint8)
    content = draw_explanation(
        image, an_explanation(weights), top, title="t", subtitle="s", class_name="bright"
    )
    with Image.open(io.BytesIO(content)) as figure:
        pixels = np.asarray(figure.convert("RGB")).astype(int)
    red, green, blue = np.moveaxis(pixels, -1, 0)
    rows, columns = slice(120, 480), [slice(400 * i + 20, 400 * i + 380) for i in range(4)]
    is_green, is_red = (
        (green > red + 40) & (green > blue + 40),
        (red > green + 40) & (red > blue + 40),
    )
    return [(int(is_green[rows, c].sum()), int(is_red[rows, c].sum())) for c in columns]


def test_each_sign_has_its_own_heaviest_superpixels() -> None:
    """As lime's get_image_and_mask: three heavier ones do not empty the third panel."""
    original, positive, negative, both = panels_with_colour([0.3, 0.2, 0.1, -0.05], 1)
    assert original == (0, 0)
    assert positive[0] > 0
    assert positive[1] == 0
    assert negative[0] == 0
    assert negative[1] > 0
    assert both[0] > 0
    assert both[1] == 0
    assert panels_with_colour([0.3, 0.2, 0.1, -0.05], 2)[1][0] > 1.5 * positive[0]


def test_a_panel_without_superpixels_has_no_colour() -> None:
    assert panels_with_colour([0.3, 0.2, 0.1, 0.0], 3)[2] == (0, 0)
    assert panels_with_colour([0.0, 1e-9, 0.0, -1e-9], 3) == [(0, 0)] * 4


def test_top_superpixels_by_absolute_weight_without_zeros() -> None:
    top = top_superpixels(an_explanation([0.1, -0.5, 0.0, 0.2]), 4)
    assert [(s.superpixel, s.positive) for s in top] == [(1, False), (3, True), (0, True)]
    assert {s.area for s in top} == {0.25}


def test_small_weights_keep_their_size() -> None:
    assert [signed(w) for w in (0.25, -0.25, 4e-5, -4e-5, 0.0)] == [
        "+0.250", "−0.250", "+4e-05", "−4e-05", "+0.000",
    ]  # fmt: skip


def test_folder_names_are_safe_unique_and_independent_of_order() -> None:
    ids = ["a/x.png", "a_x.jpg", "A/x.png", "../b.png", "...", "c/é ü.png", "d" * 400 + ".png"]
    names = folder_names(ids)
    assert names == folder_names(ids[::-1])[::-1]
    assert len({name.casefold() for name in names}) == len(ids)
    assert all("/" not in name and not name.startswith(".") for name in names)
    assert all(len(name.encode()) < 200 for name in names)
    assert folder_names(["Testing/glioma/Te-gl_0010.jpg"]) == ["Testing_glioma_Te-gl_0010"]


def test_label_map_keeps_more_than_256_superpixels() -> None:
    segments = np.arange(900, dtype=np.int32).reshape(30, 30)
    with Image.open(io.BytesIO(label_map_bytes(segments))) as image:
        np.testing.assert_array_equal(np.asarray(image), segments + 1)


def test_json_refuses_what_json_lacks() -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_bytes({"weight": float("nan")})


def test_seed_of_an_image_is_a_31_bit_function_of_pixels_and_seed() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    seeds = {image_seed(0, image), image_seed(1, image), image_seed(0, image + 1)}
    assert len(seeds) == 3
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert image_seed(0, image) == image_seed(0, image.copy())


def test_a_remark_is_drawn() -> None:
    image = np.full((32, 32, 3), 90, np.uint8)
    figures = [
        draw_explanation(
            image, an_explanation([0.3, 0, 0, 0.1]), 3,
            title="t", subtitle="s", class_name="c", remark=remark,
        )
        for remark in ("", "top 3 stable", "UNSTABLE")
    ]  # fmt: skip
    assert len(set(figures)) == 3


def test_record_tells_how_sure_the_weights_are(tmp_path: Path) -> None:
    record = json.loads(run(tmp_path, subjects(1))["Testing_bright_1/explanation.json"])
    stability = record["stability"]
    assert stability["num_samples"] == 20
    assert stability["stable"] == (stability["jaccard"] >= stability["target"])
    low, high = np.array(stability["ci95"]).T
    assert (low <= high).all()
    assert len(low) == len(record["weights"])


def test_a_method_that_weighs_pixels_shows_its_attribution_beside_the_superpixels() -> None:
    by_superpixel = an_explanation([0.3, -0.2, 0.0, 0.1])
    attribution = by_superpixel.attribution.copy()
    attribution[2:6, 2:6] = 2.0
    by_pixel = replace(by_superpixel, attribution=attribution, fit=None)
    assert by_superpixel.by_superpixel
    assert not by_pixel.by_superpixel
    image = np.full((32, 32, 3), 90, np.uint8)
    content = draw_explanation(image, by_pixel, 3, title="t", subtitle="s", class_name="c")
    with Image.open(io.BytesIO(content)) as figure:
        pixels = np.asarray(figure.convert("RGB")).astype(int)
    orange = (pixels[..., 0] > pixels[..., 2] + 60) & (pixels[..., 1] > pixels[..., 2] + 10)
    panels = [int(orange[120:460, 400 * i + 20 : 400 * i + 380].sum()) for i in range(4)]
    assert panels[1] > 200
    assert panels[0] == panels[2] == 0
