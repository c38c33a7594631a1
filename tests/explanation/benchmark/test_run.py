"""A benchmark from images to files: findings, resumption, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakd_jax.errors import UserError
from fakd_jax.explanation.benchmark import run as benchmark_run
from fakd_jax.explanation.benchmark.metrics import BY_KEY
from fakd_jax.explanation.benchmark.run import Plan, run_benchmark
from fakd_jax.explanation.benchmark.summary import ALL
from fakd_jax.explanation.methods.controls import CentreControl, EdgesControl, RandomControl
from fakd_jax.explanation.methods.lime import LimeExplainer
from fakd_jax.explanation.methods.occlusion import OcclusionExplainer
from fakd_jax.explanation.report import gallery
from fakd_jax.explanation.scene.builder import SceneBuilder
from fakd_jax.explanation.scene.superpixels import Slic
from fakd_jax.explanation.subjects import Subject
from fakd_jax.inference.network import Network

SIDE = 48
CLASSES = ("healthy", "ill")
HALF = SIDE // 2
FACTS = {
    "arch": "few lines",
    "checkpoint": "none",
    "config": None,
    "weights_sha256": 64 * "0",
    "head": "trained",
}


def bright_corner(seed: int) -> np.ndarray:
    """A grey head with a bright spot in its upper left quarter."""
    generator = np.random.default_rng(seed)
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[4:44, 4:44] = generator.integers(70, 90, (40, 40, 1))
    y, x = generator.integers(8, 16, 2)
    image[y : y + 8, x : x + 8] = 250
    return image


def network_of(score: Callable[[np.ndarray], np.ndarray]) -> Network:
    """A network whose probability of "ill" is the score of each image."""

    def predict(images: np.ndarray) -> np.ndarray:
        ill = score(images)
        return np.stack([1 - ill, ill], axis=1).astype(np.float32)

    return Network.from_function(
        predict, class_names=CLASSES, image_size=SIDE, batch_size=16, provenance=FACTS
    )


def brightness(images: np.ndarray) -> np.ndarray:
    return 0.2 + 0.6 * np.minimum(1, 6 * (images > 160).mean(axis=(1, 2, 3)))


def a_network() -> Network:
    """Depends on the upper left quarter; re-initialised, on the lower right one."""
    reinitialised = network_of(lambda images: brightness(images[:, HALF:, HALF:]))
    original = network_of(lambda images: brightness(images[:, :HALF, :HALF]))
    return replace(original, reinitialise=lambda seed, images: reinitialised)


@pytest.fixture(scope="module", autouse=True)
def _blank_curves() -> Iterator[None]:
    """Curves take a third of a second to draw; the tests of the figures look at them."""
    blank = np.full((2, 2, 3), 255, np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gallery, "draw_curves", lambda cells, controls: blank)
        yield


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> list[Subject]:
    folder = tmp_path_factory.mktemp("masks")
    found = []
    for seed in range(12):
        mask = folder / f"{seed}.png"
        Image.fromarray((bright_corner(seed) == 250).all(axis=2)).save(mask)
        found.append(
            Subject(f"test/ill/{seed}.png", "ill", lambda seed=seed: bright_corner(seed), (mask,))
        )
    return found


def a_plan(**changes: object) -> Plan:
    plan = Plan(
        methods=[LimeExplainer(num_samples=80), OcclusionExplainer(window=1 / 4)],
        controls=[RandomControl(), CentreControl(), EdgesControl()],
        scene_builder=SceneBuilder(segmenter=Slic(16), hide="inpaint"),
        seeds=2,
        reinitialisations=1,
    )
    return replace(plan, **changes)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def finished(subjects: list[Subject], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("benchmark")
    run_benchmark(subjects, a_network(), a_plan(), output)
    return output


def test_the_network_is_described_correctly(finished: Path) -> None:
    benchmark = json.loads((finished / "benchmark.json").read_text())
    rows = {row["method"]: row["metrics"] for row in benchmark["rows"] if row["class"] == ALL}
    assert list(rows) == ["lime", "occlusion", "random", "centre", "edges"]
    for key in ("rank_correlation", "jaccard", "sign_agreement"):
        for deterministic in ("occlusion", "centre", "edges"):
            assert rows[deterministic][key] == {"mean": None, "ci95": None, "n": 0}
        assert rows["random"][key]["n"] == rows["lime"][key]["n"] == 12
    assert rows["lime"]["dice"]["mean"] > rows["centre"]["dice"]["mean"]
    assert rows["lime"]["dice"]["n"] == 12
    assert rows["occlusion"]["gap"]["mean"] > 0.15
    assert rows["lime"]["background"]["mean"] == 0
    verdicts = {
        (row["method"], row["metric"], row["control"]): row["verdict"]
        for row in benchmark["verdicts"]
    }
    for method in ("lime", "occlusion"):
        for metric in ("gap", "mass_in_mask"):
            assert verdicts[method, metric, "random"] == "better"
    sanity = {row["method"]: row["passes"] for row in benchmark["sanity"]}
    assert sanity["occlusion"] is True
    assert sanity["edges"] is False
    assert sanity["centre"] is False
    assert sanity["random"] is False
    assert benchmark["config"]["methods"]["lime"]["num_samples"] == 80


def test_all_files_are_written(finished: Path) -> None:
    names = set(contents(finished))
    suffixes = ("json", "txt", "csv", "png")
    assert names >= {"gallery.html", *(f"benchmark.{suffix}" for suffix in suffixes)}
    page = (finished / "gallery.html").read_text()
    assert all(f"test/ill/{seed}.png" in page for seed in range(12))
    with Image.open(finished / "cells" / "test_ill_3" / "lime.png") as picture:
        assert min(picture.size) >= SIDE
    cells = list((finished / "cells").rglob("*.json"))
    assert len(cells) == 12 * 5
    for cell in cells:
        assert list(json.loads(cell.read_text())["metrics"]) == list(BY_KEY)


QUICK = a_plan(reinitialisations=0)


def test_an_interrupted_benchmark_resumes_to_the_same_bytes(
    subjects: list[Subject], tmp_path: Path
) -> None:
    two, whole, resumed = subjects[:2], tmp_path / "whole", tmp_path / "resumed"
    run_benchmark(two, a_network(), QUICK, whole)
    known: list[bool] = []

    def stop_in_the_middle(id: str, method: str, from_disk: bool) -> None:
        known.append(from_disk)
        if len(known) == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_benchmark(two, a_network(), QUICK, resumed, on_cell=stop_in_the_middle)
    run_benchmark(two, a_network(), QUICK, resumed, on_cell=lambda *cell: known.append(cell[2]))
    assert known == [False] * 7 + [True] * 7 + [False] * (2 * 5 - 7)
    assert contents(resumed) == contents(whole)


EVERYONE = ["lime", "occlusion", "random", "centre", "edges"]


def measured_methods(
    output: Path, subjects: list[Subject], plan: Plan = QUICK, network: Network | None = None
) -> list[str]:
    """The methods that were measured rather than loaded."""
    cells: list[tuple[str, bool]] = []
    run_benchmark(
        subjects,
        network or a_network(),
        plan,
        output,
        on_cell=lambda id, method, known: cells.append((method, known)),
    )
    return [method for method, known in cells if not known]


@pytest.mark.slow
def test_only_cells_that_depend_on_a_change_are_measured_again(
    subjects: list[Subject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = subjects[:1]
    assert measured_methods(tmp_path, first) == EVERYONE
    assert measured_methods(tmp_path, first) == []
    lime, occlusion = QUICK.methods
    other = replace(QUICK, methods=[replace(lime, num_samples=81), occlusion])
    assert measured_methods(tmp_path, first, other) == ["lime"]
    assert measured_methods(tmp_path, first, replace(QUICK, seeds=3)) == EVERYONE
    renamed = replace(a_network(), class_names=("fine", "ill"))
    assert measured_methods(tmp_path, first, network=renamed) == EVERYONE
    moved = [replace(subjects[0], id="test_ill_0.png")]  # has the same folder
    assert measured_methods(tmp_path, moved, network=renamed) == EVERYONE
    assert "test_ill_0.png" in (tmp_path / "gallery.html").read_text()
    monkeypatch.setattr(benchmark_run, "measured_by", lambda: {"code": "another"})
    assert measured_methods(tmp_path, moved, network=renamed) == EVERYONE


def test_pictures_are_always_drawn_and_damaged_cells_measured_again(
    subjects: list[Subject], tmp_path: Path
) -> None:
    measured_methods(tmp_path, subjects[:1])
    before = contents(tmp_path)
    folder = tmp_path / "cells" / "test_ill_0"
    for name in ("lime.png", "image.png"):
        (folder / name).write_bytes(b"")
    assert measured_methods(tmp_path, subjects[:1]) == []
    assert contents(tmp_path) == before
    (folder / "lime.npz").write_bytes(b"")
    (folder / "occlusion.json").write_text("{ half a fi")
    assert measured_methods(tmp_path, subjects[:1]) == ["lime", "occlusion"]
    assert contents(tmp_path) == before


def test_nothing_is_stable_about_a_constant_network(
    subjects: list[Subject], tmp_path: Path
) -> None:
    still = network_of(lambda images: np.full(len(images), 0.7))
    still = replace(still, reinitialise=lambda seed, images: still)
    flat = a_plan(methods=[OcclusionExplainer(window=1 / 4)], controls=[RandomControl()])
    benchmark = run_benchmark(subjects[:1], still, flat, tmp_path)
    rows = {row["method"]: row["metrics"] for row in benchmark["rows"] if row["class"] == ALL}
    assert rows["occlusion"]["jaccard"] == {"mean": None, "ci95": None, "n": 0}
    assert rows["occlusion"]["dependence"] == {"mean": None, "ci95": None, "n": 0}
    assert rows["random"]["jaccard"]["n"] == 1
    pictures = tmp_path / "cells" / "test_ill_0"
    assert (pictures / "occlusion.png").read_bytes() == (pictures / "image.png").read_bytes()


def test_typical_images_cover_all_classes(subjects: list[Subject]) -> None:
    of_two = [
        Subject(str(place), None, lambda level=level: np.full((4, 4, 3), level, np.uint8))
        for place, level in enumerate([1] * 50 + [2] * 14)
    ]
    found = benchmark_run.typical_images(of_two, 4)
    assert found[:, 0, 0, 0].tolist() == [1] * 25 + [2] * 7
    assert benchmark_run.typical_images(subjects, SIDE).shape == (12, SIDE, SIDE, 3)
    assert len(benchmark_run.typical_images(of_two[:3], 4)) == 3 * 8


def test_ambiguous_and_unwritable_names_are_refused(
    subjects: list[Subject], tmp_path: Path
) -> None:
    ambiguous = replace(a_network(), class_names=(ALL, "ill"))
    with pytest.raises(UserError, match="a class is named 'all images'"):
        run_benchmark(subjects[:1], ambiguous, a_plan(), tmp_path)
    unreadable = [replace(subjects[0], id="\udcff.png")]
    with pytest.raises(UserError, match=r"udcff.png' is not UTF-8; rename the file"):
        run_benchmark(unreadable, a_network(), a_plan(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_masks_and_reinitialised_networks_their_metrics_are_absent(
    subjects: list[Subject], tmp_path: Path
) -> None:
    plain = [replace(subject, masks=()) for subject in subjects[:2]]
    benchmark = run_benchmark(plain, replace(a_network(), reinitialise=None), a_plan(), tmp_path)
    for row in benchmark["rows"]:
        for key in ("dice", "dependence", "randomised_correlation"):
            assert row["metrics"][key] == {"mean": None, "ci95": None, "n": 0}
    assert {row["passes"] for row in benchmark["sanity"]} == {None}


def test_localisation_is_measured_on_correct_predictions_only(
    subjects: list[Subject], tmp_path: Path
) -> None:
    wrong = [replace(subjects[0], true_class="healthy"), subjects[1]]
    benchmark = run_benchmark(wrong, a_network(), QUICK, tmp_path)
    row = next(row for row in benchmark["rows"] if row["method"] == "lime")
    assert row["metrics"]["dice"]["n"] == 1


def test_unsuitable_masks_are_refused(subjects: list[Subject], tmp_path: Path) -> None:
    mask = tmp_path / "small.png"
    Image.new("L", (SIDE, SIDE - 1)).save(mask)
    with pytest.raises(UserError, match=r"has 48 × 47 pixels, its image 48 × 48"):
        run_benchmark(
            [replace(subjects[0], masks=(mask,))], a_network(), a_plan(), tmp_path / "out"
        )
    mask.write_bytes(b"no picture")
    with pytest.raises(UserError, match="cannot read the mask"):
        run_benchmark(
            [replace(subjects[0], masks=(mask,))], a_network(), a_plan(), tmp_path / "out"
        )


def test_localisation_alone_is_the_first_run_of_the_whole_benchmark(
    subjects: list[Subject], finished: Path, tmp_path: Path
) -> None:
    run_benchmark(subjects, a_network(), a_plan(localisation_only=True), tmp_path)
    whole, alone = (
        json.loads((folder / "benchmark.json").read_text()) for folder in (finished, tmp_path)
    )
    places = ("pointing", "dice", "mass_in_mask", "background")
    assert len(whole["rows"]) == len(alone["rows"])
    for row, expected in zip(alone["rows"], whole["rows"], strict=True):
        for key, value in row["metrics"].items():
            assert value == expected["metrics"][key] if key in places else value["n"] == 0
    assert not any(path.name == "curves.png" for path in tmp_path.rglob("*"))
    assert "curves.png" not in (tmp_path / "gallery.html").read_text(encoding="utf-8")
