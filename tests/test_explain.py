"""The explain door, from flags to files, with a tiny checkpoint; and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from flax import nnx
from PIL import Image

from fakd_jax import explain
from fakd_jax.cli import runner as cli
from fakd_jax.models import create_model
from fakd_jax.models.checkpoint import save_model
from fakd_jax.models.state import model_state

CLASSES = ["glioma", "notumor"]
QUICK = ["--num-samples", "20", "--batch-size", "8"]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workdir whose best student is a tiny network, random but for a head that reacts."""
    folder = tmp_path_factory.mktemp("run")
    model = create_model("tiny_mobilenet", num_classes=2, rngs=nnx.Rngs(0))
    state = model_state(model)
    kernel = state["params"]["classifier_3"]["kernel"]
    state["params"]["classifier_3"]["kernel"] = np.asarray(kernel) * 1e4
    metadata = {
        "format_version": 1,
        "arch": "tiny_mobilenet",
        "num_classes": 2,
        "class_names": CLASSES,
        "overrides": {},
        "preprocessing": {
            "image_size": 32,
            "mean": [0.5] * 3,
            "std": [0.5] * 3,
            "interpolation": "bilinear",
        },
        "negative_class": "notumor",
        "head": "trained",
        "source": {"step": 7},
        "data": None,
        "config": None,
        "package_version": "0",
    }
    save_model(folder / "student" / "best" / "7", state, metadata)
    return folder


def write_image(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 36, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images: three of each class to train on, three and one to test on."""
    folder = tmp_path_factory.mktemp("data")
    counts = {("Training", "glioma"): 3, ("Training", "notumor"): 3, ("Testing", "glioma"): 3}
    counts["Testing", "notumor"] = 1
    seed = 0
    for (part, name), count in counts.items():
        for number in range(count):
            seed += 1
            write_image(folder / part / name / f"{number}.png", seed)
    return folder


def door(*arguments: object) -> int:
    """Runs the door as the command line does and gives its exit code."""
    try:
        cli.run_command(explain.main, [str(argument) for argument in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_image_files_are_explained_into_the_workdir(
    workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [write_image(tmp_path / name, seed) for seed, name in enumerate(("a.png", "b.jpg"))]
    assert door("--checkpoint", workdir, "--image", *files, files[0], *QUICK) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "[1/2]" in captured.out
    assert "s left" in captured.out
    index = json.loads((workdir / "explanation" / "explanations.json").read_text())
    assert [entry["id"] for entry in index["explanations"]] == [str(file) for file in files]
    for entry in index["explanations"]:
        record = json.loads((workdir / "explanation" / entry["explanation"]).read_text())
        assert record["true_class"] is None
        assert record["image"] | {"sha256": ""} == {
            "original_size": [40, 36],
            "explained_size": [32, 32],
            "sha256": "",
        }
        assert record["checkpoint"]["checkpoint"] == "student/best/7"
        assert len(record["checkpoint"]["weights_sha256"]) == 64
        assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-6)
        with Image.open(workdir / "explanation" / entry["figure"]) as figure:
            assert figure.width == 1600


def test_a_teacher_is_explained_beside_its_student(workdir: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(workdir / "student", run / "student")
    shutil.copytree(workdir / "student", run / "teacher")
    image = write_image(tmp_path / "a.png", 1)
    assert door("--checkpoint", run / "teacher", "--image", image, *QUICK) == 0
    assert (run / "explanation" / "teacher" / "explanations.json").is_file()
    assert not (run / "explanation" / "explanations.json").exists()


def test_same_command_same_bytes(workdir: Path, tmp_path: Path) -> None:
    image = write_image(tmp_path / "a.png", 1)
    for output in ("first", "second"):
        flags = ("--checkpoint", workdir, "--image", image, "--output", tmp_path / output, *QUICK)
        assert door(*flags) == 0
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def test_some_test_images_of_each_class(
    workdir: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--checkpoint", workdir, "--data", data, "--cache-dir", tmp_path / "cache", *QUICK]
    assert door(*flags, "--per-class", 2, "--output", tmp_path / "two") == 0
    assert "class notumor has only 1 of the 2 images asked for" in capsys.readouterr().out
    two = json.loads((tmp_path / "two" / "explanations.json").read_text())
    assert [entry["true_class"] for entry in two["explanations"]] == ["glioma"] * 2 + ["notumor"]
    assert all(entry["id"].startswith("Testing/") for entry in two["explanations"])
    assert two["data"]["split"] == "test"
    assert len(two["data"]["fingerprint"]) == 64

    # Fewer a class are among the more, and the same explanation to the byte.
    assert door(*flags, "--per-class", 1, "--output", tmp_path / "one") == 0
    one = json.loads((tmp_path / "one" / "explanations.json").read_text())
    first = one["explanations"][0]
    assert first == two["explanations"][0]
    assert (tmp_path / "one" / first["figure"]).read_bytes() == (
        tmp_path / "two" / first["figure"]
    ).read_bytes()


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--image", "IMAGE", "--method", "shap"], "unknown method 'shap'; known: lime"),
        (["--image", "IMAGE", "--num-samples", "1"], "num_samples"),
        (["--image", "IMAGE", "--batch-size", "0"], "--batch-size"),
        (["--image", "IMAGE", "--top", "0"], "--top"),
        (["--image", "IMAGE", "--seed", "-1"], "--seed"),
        (["--image", "IMAGE", "--split", "test"], "--split"),
        (["--image", "IMAGE", "--per-class", "1"], "--per-class"),
        (["--image", "IMAGE", "--data", "DATA"], "not allowed with"),
        (["--image", "missing.png"], "missing.png"),
        (["--image", "IMAGE", "missing.png", "BROKEN"], "2 of 3 images cannot be read"),
        (["--image", "FOLDER"], "FOLDER"),
        (["--image", "IMAGE", "--method", "lime", "rise"], "one --method at a time"),
        (["--image", "IMAGE", "--method", "grad-cam", "--num-samples", "9"], "num_samples"),
        (["--image", "IMAGE", "--method", "grad-cam", "--layer", "features.99"], "features.0"),
        (["--image", "IMAGE", "--method", "lime-package"], "--preset paper"),
        (["--image", "IMAGE", "--kernel-width", "0"], "kernel_width"),
        (["--image", "IMAGE", "--hide", "black"], "known: mean, blur, inpaint"),
        (["--image", "IMAGE", "--segmenter", "watershed"], "known: slic, quickshift"),
        (["--image", "IMAGE", "--superpixels", "1"], "superpixels"),
        (["--image", "IMAGE", "--preset", "paper", "--superpixels", "9"], "quickshift"),
        (["--image", "IMAGE", "--seeds", "3"], "--seeds only means something with --benchmark"),
        (["--image", "IMAGE", "--benchmark", "--seeds", "1"], "--seeds"),
        (["--image", "IMAGE", "--benchmark", "--method", "edges"], "leave edges out of --method"),
        (["--image", "IMAGE", "--benchmark", "--masks", "FOLDER"], "--masks belong to"),
        (["--data", "DATA", "--per-class", "0"], "--per-class"),
        (["--data", "DATA", "--split", "valid"], "--split"),
        (["--data", "nowhere"], "nowhere"),
        (["--image", "IMAGE", "--output", "BROKEN"], "--output"),
        ([], "required"),
    ],
)
def test_wrong_inputs_are_one_line_and_exit_code_two(
    workdir: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    complaint: str,
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff no jpeg")
    names = {
        "IMAGE": str(write_image(tmp_path / "a.png", 1)),
        "DATA": str(data),
        "BROKEN": str(broken),
        "FOLDER": str(tmp_path),
    }
    before = contents(tmp_path)
    arguments = [names.get(flag, flag) for flag in flags]
    cache = ["--cache-dir", tmp_path / "cache"] if "--data" in flags else []
    assert door("--checkpoint", workdir, *arguments, *cache) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert names.get(complaint, complaint) in captured.err
    assert contents(tmp_path) == before


def test_missing_checkpoint_and_foreign_classes(
    workdir: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = write_image(tmp_path / "a.png", 1)
    assert door("--checkpoint", tmp_path / "none", "--image", image) == 2
    assert str(tmp_path / "none") in capsys.readouterr().err

    write_image(tmp_path / "other" / "Training" / "astrocytoma" / "1.png", 1)
    write_image(tmp_path / "other" / "Training" / "glioma" / "1.png", 2)
    write_image(tmp_path / "other" / "Testing" / "astrocytoma" / "1.png", 3)
    write_image(tmp_path / "other" / "Testing" / "glioma" / "1.png", 4)
    flags = ["--checkpoint", workdir, "--data", tmp_path / "other", "--cache-dir", tmp_path / "c"]
    assert door(*flags) == 2
    assert "astrocytoma are not among the checkpoint's" in capsys.readouterr().err


def test_a_folder_without_any_mask_is_refused(
    workdir: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--checkpoint", workdir, "--data", data, "--cache-dir", tmp_path / "cache"]
    assert door(*flags, "--benchmark", "--masks", tmp_path) == 2
    told = capsys.readouterr().err
    assert f"{tmp_path} has no mask of any image" in told
    assert told.count("\n") == 1


def test_train_images_need_the_split_of_the_run(
    workdir: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--checkpoint", workdir, "--data", data, "--cache-dir", tmp_path / "cache"]
    assert door(*flags, "--split", "train") == 2
    assert "split.json" in capsys.readouterr().err


BENCHMARK = ["--benchmark", "--num-samples", 20, "--batch-size", 8, "--seeds", 2]


def test_benchmark_judges_methods_and_goes_on_where_it_was(
    workdir: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--checkpoint", workdir, "--data", data, "--cache-dir", tmp_path / "cache"]
    methods = ["lime", "occlusion", "grad-cam", "integrated-gradients"]
    flags += [
        "--output",
        tmp_path / "card",
        *BENCHMARK,
        "--reinitialisations",
        1,
        "--method",
        *methods,
    ]
    assert door(*flags) == 0
    told = capsys.readouterr().out
    assert "[2/2]" in told
    assert "Faithfulness" in told
    assert "gallery.html" in told
    card = json.loads((tmp_path / "card" / "benchmark.json").read_text())
    assert card["methods"] == [*methods, "random", "centre", "edges"]
    assert card["config"]["methods"]["lime"]["num_samples"] == 20
    assert card["data"]["split"] == "test"
    for row in card["rows"]:
        assert row["metrics"]["gap"]["n"] == row["n"]
    before = contents(tmp_path / "card")
    assert door(*flags) == 0
    assert "measured before" in capsys.readouterr().out
    assert contents(tmp_path / "card") == before


def test_benchmark_of_loose_files_and_masks_in_a_folder(
    workdir: Path, data: Path, tmp_path: Path
) -> None:
    image = write_image(tmp_path / "a.png", 1)
    quick = [*BENCHMARK, "--reinitialisations", 0, "--method", "lime"]
    assert door("--checkpoint", workdir, "--image", image, *quick) == 0
    card = json.loads((workdir / "benchmark" / "benchmark.json").read_text())
    assert card["data"] is None

    lesion = np.zeros((40, 36), np.uint8)
    lesion[10:20, 10:20] = 255
    ids = [f"Testing/glioma/{number}.png" for number in range(3)] + ["Testing/notumor/0.png"]
    for id in ids:
        mask = tmp_path / "masks" / id
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(lesion).save(mask)
    flags = ["--data", data, "--cache-dir", tmp_path / "cache", "--per-class", 3, *quick]
    flags += ["--masks", tmp_path / "masks", "--output", tmp_path / "card"]
    assert door("--checkpoint", workdir, *flags) == 0
    cells = [
        json.loads(path.read_text()) for path in (tmp_path / "card" / "cells").rglob("lime.json")
    ]
    assert len(cells) == 4
    for cell in cells:
        right = cell["prediction"] == cell["true_class"]
        assert (cell["metrics"]["dice"] is not None) == right
