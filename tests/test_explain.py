"""The command `fakd explain`, from flags to files, with a tiny checkpoint."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakd_jax import explain
from fakd_jax.cli import runner as cli
from tests.tiny import save_tiny_checkpoint, write_image

CLASSES = ("glioma", "notumor")
QUICK = ["--num-samples", "20", "--batch-size", "8"]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("run"), CLASSES)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images: three of each class to train on, three and one to test on."""
    folder = tmp_path_factory.mktemp("data")
    counts = {("Training", "glioma"): 3, ("Training", "notumor"): 3, ("Testing", "glioma"): 3}
    counts["Testing", "notumor"] = 1
    seeds = itertools.count()
    for (part, name), count in counts.items():
        for number in range(count):
            write_image(folder / part / name / f"{number}.png", next(seeds))
    return folder


def run(*arguments: object) -> int:
    """Runs the command and returns its exit code."""
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
    assert run("--checkpoint", workdir, "--image", *files, files[0], *QUICK) == 0
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
            "original_size": [36, 40],
            "explained_size": [32, 32],
            "sha256": "",
        }
        assert record["checkpoint"]["checkpoint"] == "student/best/7"
        assert len(record["checkpoint"]["weights_sha256"]) == 64
        assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-6)
        with Image.open(workdir / "explanation" / entry["figure"]) as figure:
            assert figure.width == 1600


def test_a_teacher_is_explained_beside_its_student(workdir: Path, tmp_path: Path) -> None:
    own = tmp_path / "run"
    shutil.copytree(workdir / "student", own / "student")
    shutil.copytree(workdir / "student", own / "teacher")
    image = write_image(tmp_path / "a.png", 1)
    assert run("--checkpoint", own / "teacher", "--image", image, *QUICK) == 0
    assert (own / "explanation" / "teacher" / "explanations.json").is_file()
    assert not (own / "explanation" / "explanations.json").exists()


def test_same_command_same_bytes(workdir: Path, tmp_path: Path) -> None:
    image = write_image(tmp_path / "a.png", 1)
    for output in ("first", "second"):
        flags = ("--checkpoint", workdir, "--image", image, "--output", tmp_path / output, *QUICK)
        assert run(*flags) == 0
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def test_some_test_images_of_each_class(
    workdir: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [
        "--checkpoint",
        workdir,
        "--data",
        data,
        "--cache-dir",
        data.with_name("cache"),
        *QUICK,
    ]
    assert run(*flags, "--per-class", 2, "--output", tmp_path / "two") == 0
    assert "class notumor has only 1 of the 2 images asked for" in capsys.readouterr().out
    two = json.loads((tmp_path / "two" / "explanations.json").read_text())
    assert [entry["true_class"] for entry in two["explanations"]] == ["glioma"] * 2 + ["notumor"]
    assert all(entry["id"].startswith("Testing/") for entry in two["explanations"])
    assert two["data"]["split"] == "test"
    assert len(two["data"]["fingerprint"]) == 64

    # With fewer per class, the images are among those above, and explained to the same bytes.
    assert run(*flags, "--per-class", 1, "--output", tmp_path / "one") == 0
    one = json.loads((tmp_path / "one" / "explanations.json").read_text())
    first = one["explanations"][0]
    assert first == two["explanations"][0]
    assert (tmp_path / "one" / first["figure"]).read_bytes() == (
        tmp_path / "two" / first["figure"]
    ).read_bytes()


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ([], "required"),
        (["--image", "IMAGE", "--batch-size", "0"], "--batch-size"),
        (["--image", "IMAGE", "--seed", "-1"], "--seed"),
        (["--image", "IMAGE", "--split", "test"], "--split"),
        (["--image", "IMAGE", "--data", "DATA"], "not allowed with"),
        (["--image", "missing.png"], "missing.png"),
        (["--image", "IMAGE", "missing.png", "BROKEN"], "2 of 3 images cannot be read"),
        (["--image", "FOLDER"], "FOLDER"),
        (["--image", "IMAGE", "--method", "shap"], "known: lime"),
        (["--image", "IMAGE", "--method", "lime", "rise"], "one --method"),
        (["--image", "IMAGE", "--method", "grad-cam", "--num-samples", "9"], "num_samples"),
        (["--image", "IMAGE", "--method", "grad-cam", "--layer", "features.99"], "features.0"),
        (["--image", "IMAGE", "--method", "lime-package"], "--preset paper"),
        (["--image", "IMAGE", "--hide", "black"], "known: mean, blur, inpaint"),
        (["--image", "IMAGE", "--preset", "paper", "--superpixels", "9"], "quickshift"),
        (["--image", "IMAGE", "--seeds", "3"], "--benchmark"),
        (["--image", "IMAGE", "--benchmark", "--method", "edges"], "edges"),
        (["--image", "IMAGE", "--benchmark", "--masks", "FOLDER"], "--data"),
        (["--image", "IMAGE", "--output", "BROKEN"], "--output"),
        (["--data", "nowhere"], "nowhere"),
        (["--data", "DATA", "--split", "train"], "split.json"),
        (["--data", "DATA", "--benchmark", "--masks", "FOLDER"], "FOLDER"),
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
    broken.write_bytes(b"\xff\xd8\xff not a JPEG")
    names = {
        "IMAGE": str(write_image(tmp_path / "a.png", 1)),
        "DATA": str(data),
        "BROKEN": str(broken),
        "FOLDER": str(tmp_path),
    }
    before = contents(tmp_path)
    arguments = [names.get(flag, flag) for flag in flags]
    cache = ["--cache-dir", data.with_name("cache")]
    assert run("--checkpoint", workdir, *arguments, *cache) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert names.get(complaint, complaint) in captured.err
    assert contents(tmp_path) == before


def test_missing_checkpoint_and_foreign_classes(
    workdir: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = write_image(tmp_path / "a.png", 1)
    assert run("--checkpoint", tmp_path / "none", "--image", image) == 2
    assert str(tmp_path / "none") in capsys.readouterr().err

    for seed, part in enumerate(("Training", "Testing")):
        for name in ("astrocytoma", "glioma"):
            write_image(tmp_path / "other" / part / name / f"{seed}.png", len(name) + seed)
    flags = ["--checkpoint", workdir, "--data", tmp_path / "other", "--cache-dir", tmp_path / "c"]
    assert run(*flags) == 2
    assert "astrocytoma are not among the checkpoint's" in capsys.readouterr().err


BENCHMARK = ["--benchmark", "--num-samples", 20, "--batch-size", 8, "--seeds", 2]


def test_benchmark_measures_methods_and_resumes(
    workdir: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--checkpoint", workdir, "--data", data, "--cache-dir", data.with_name("cache")]
    methods = ["lime", "occlusion", "grad-cam", "integrated-gradients"]
    flags += ["--output", tmp_path / "benchmark", *BENCHMARK]
    flags += ["--reinitialisations", 1, "--method", *methods]
    assert run(*flags) == 0
    printed = capsys.readouterr().out
    assert "[2/2]" in printed
    assert "Faithfulness" in printed
    assert "gallery.html" in printed
    benchmark = json.loads((tmp_path / "benchmark" / "benchmark.json").read_text())
    assert benchmark["methods"] == [*methods, "random", "centre", "edges"]
    assert benchmark["config"]["methods"]["lime"]["num_samples"] == 20
    assert benchmark["data"]["split"] == "test"
    for row in benchmark["rows"]:
        assert row["metrics"]["gap"]["n"] == row["n"]
    before = contents(tmp_path / "benchmark")
    assert run(*flags) == 0
    assert "measured before" in capsys.readouterr().out
    assert contents(tmp_path / "benchmark") == before


def test_benchmark_of_loose_files_and_masks_in_a_folder(
    workdir: Path, data: Path, tmp_path: Path
) -> None:
    image = write_image(tmp_path / "a.png", 1)
    quick = [*BENCHMARK, "--reinitialisations", 0, "--method", "lime"]
    assert run("--checkpoint", workdir, "--image", image, *quick) == 0
    benchmark = json.loads((workdir / "benchmark" / "benchmark.json").read_text())
    assert benchmark["data"] is None

    lesion = np.zeros((36, 40), np.uint8)
    lesion[10:20, 10:20] = 255
    ids = [f"Testing/glioma/{number}.png" for number in range(3)] + ["Testing/notumor/0.png"]
    for id in ids:
        mask = tmp_path / "masks" / id
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(lesion).save(mask)
    flags = ["--data", data, "--cache-dir", data.with_name("cache"), "--per-class", 3, *quick]
    flags += ["--masks", tmp_path / "masks", "--output", tmp_path / "benchmark"]
    assert run("--checkpoint", workdir, *flags) == 0
    cells = [
        json.loads(path.read_text())
        for path in (tmp_path / "benchmark" / "cells").rglob("lime.json")
    ]
    assert len(cells) == 4
    for cell in cells:
        right = cell["prediction"] == cell["true_class"]
        assert (cell["metrics"]["dice"] is not None) == right
