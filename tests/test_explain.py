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
from tests.tiny import contents, save_tiny_checkpoint, write_image

CLASSES = ("glioma", "notumor")
PARTS = ("Training", "Testing")
QUICK = ["--num-samples", "20", "--batch-size", "8"]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("run"), CLASSES)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images: three of each class to train on, three and one to test on."""
    folder = tmp_path_factory.mktemp("data")
    names = [f"{part}/{name}/{n}" for part in PARTS for name in CLASSES for n in range(3)]
    for seed, name in enumerate(names[:-2]):
        write_image(folder / f"{name}.png", seed)
    return folder


@pytest.fixture(scope="module")
def data_flags(workdir: Path, data: Path) -> list[object]:
    return ["--checkpoint", workdir, "--data", data, "--cache-dir", data.with_name("cache")]


def listed(output: Path) -> list[dict[str, object]]:
    lines = (output / "explanations.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def run(*arguments: object) -> int:
    """Runs the command and returns its exit code."""
    try:
        cli.run_command(explain.main, [str(argument) for argument in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_image_files_are_explained_into_the_workdir(
    workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(workdir / "student", tmp_path / "run" / "student")
    workdir = tmp_path / "run"
    files = [write_image(tmp_path / name, seed) for seed, name in enumerate(("a.png", "b.jpg"))]
    assert run("--checkpoint", workdir, "--image", *files, files[0], *QUICK) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "[1/2]" in captured.out
    entries = listed(workdir / "explanation")
    assert [entry["id"] for entry in entries] == [str(file) for file in files]
    for entry in entries:
        record = json.loads((workdir / "explanation" / entry["explanation"]).read_text())
        assert record["true_class"] is None
        assert record["image"]["original_size"] == [36, 40]
        assert record["image"]["explained_size"] == [32, 32]
        assert record["checkpoint"]["checkpoint"] == "student/best/7"
        assert len(record["checkpoint"]["weights_sha256"]) == 64
        assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-6)
        with Image.open(workdir / "explanation" / entry["figure"]) as figure:
            assert figure.width == 1600


def test_a_class_and_a_contrast_are_explained_in_float32(workdir: Path, tmp_path: Path) -> None:
    image = write_image(tmp_path / "a.png", 1)
    flags = ["--checkpoint", workdir, "--image", image, *QUICK, "--no-figures"]
    records = []
    for name, rule in (("one", "notumor"), ("two", "glioma:notumor")):
        assert run(*flags, "--class", rule, "--output", tmp_path / name) == 0
        (entry,) = listed(tmp_path / name)
        records.append(json.loads((tmp_path / name / entry["explanation"]).read_text()))
    one, two = records
    assert (one["explained_class"], one["contrast_class"]) == ("notumor", None)
    assert (two["explained_class"], two["contrast_class"]) == ("glioma", "notumor")
    assert (one["config"]["score"], two["config"]["score"]) == ("probability", "log-odds")
    assert one["checkpoint"]["dtype"] == "float32"


def test_a_teacher_is_explained_beside_its_student(workdir: Path, tmp_path: Path) -> None:
    own = tmp_path / "run"
    shutil.copytree(workdir / "student", own / "student")
    shutil.copytree(workdir / "student", own / "teacher")
    image = write_image(tmp_path / "a.png", 1)
    assert run("--checkpoint", own / "teacher", "--image", image, *QUICK) == 0
    assert len(listed(own / "explanation" / "teacher")) == 1
    assert not (own / "explanation" / "explanations.jsonl").exists()


def test_a_repeated_command_continues_and_another_is_refused_until_it_restarts(
    data_flags: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [*data_flags, *QUICK, "--no-figures", "--output", tmp_path]
    assert run(*flags) == 0
    before = contents(tmp_path)
    capsys.readouterr()
    assert run(*flags) == 0
    assert "2 of 2 images were explained before" in capsys.readouterr().out
    assert contents(tmp_path) == before
    assert run(*flags, "--superpixels", 9) == 2
    assert "--restart" in capsys.readouterr().err
    assert contents(tmp_path) == before
    assert run(*flags, "--superpixels", 9, "--restart") == 0
    assert contents(tmp_path) != before


def test_some_test_images_of_each_class_are_explained(
    data_flags: list[object], tmp_path: Path
) -> None:
    outputs = [tmp_path / str(count) for count in (2, 1)]
    for count, output in zip((2, 1), outputs, strict=True):
        flags = ["--no-figures", "--per-class", count, "--output", output]
        assert run(*data_flags, *QUICK, *flags) == 0
    two, one = map(listed, outputs)
    assert [entry["true_class"] for entry in two] == ["glioma"] * 2 + ["notumor"]
    assert all(entry["id"].startswith("Testing/") for entry in two)
    settings = json.loads((outputs[0] / "settings.json").read_text())
    assert settings["data"]["split"] == "test"
    assert len(settings["data"]["fingerprint"]) == 64
    # With fewer per class, the images are among those above, and explained to the same bytes.
    assert one[0] == two[0]
    few, more = (contents(tmp_path / count / one[0]["folder"]) for count in "12")
    few["explanation.json"] = few["explanation.json"].replace(b'"per_class": 1', b'"per_class": 2')
    assert few == more


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ([], "required"),
        (["--image", "IMAGE", "--batch-size", "0"], "--batch-size"),
        (["--image", "IMAGE", "--seed", "-1"], "--seed"),
        (["--image", "IMAGE", "--split", "test"], "--split"),
        (["--image", "IMAGE", "--data", "DATA"], "not allowed with"),
        (["--image", "IMAGE", "missing.png", "BROKEN"], "2 of 3 images"),
        (["--image", "FOLDER"], "FOLDER"),
        (["--image", "IMAGE", "--method", "shap"], "shap"),
        (["--image", "IMAGE", "--method", "lime", "rise"], "one --method"),
        (["--image", "IMAGE", "--method", "grad-cam", "--layer", "features.99"], "features.0"),
        (["--image", "IMAGE", "--method", "lime-package"], "--preset paper"),
        (["--image", "IMAGE", "--hide", "black"], "black"),
        (["--image", "IMAGE", "--class", "cat"], "glioma, notumor"),
        (["--image", "IMAGE", "--class", "glioma:glioma"], "itself"),
        (["--image", "IMAGE", "--class", "predicted:true"], "--data"),
        (["--image", "IMAGE", "--class", "glioma", "--benchmark"], "--class"),
        (["--image", "IMAGE", "--seeds", "3"], "--benchmark"),
        (["--image", "IMAGE", "--restart", "--benchmark"], "--restart"),
        (["--image", "IMAGE", "--method", "lime", "--steps", "9"], "steps"),
        (["--image", "IMAGE", "--benchmark", "--method", "edges"], "edges"),
        (["--image", "IMAGE", "--benchmark", "--masks", "FOLDER"], "--data"),
        (["--image", "IMAGE", "--output", "BROKEN"], "--output"),
        (["--data", "nowhere"], "nowhere"),
        (["--data", "DATA", "--split", "train"], "split.json"),
        (["--data", "DATA", "--benchmark", "--masks", "FOLDER"], "FOLDER"),
        (["--data", "DATA", "--checkpoint", "missing"], "missing"),
        (["--data", "OTHER"], "astrocytoma"),
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
    names = {"DATA": data, "BROKEN": tmp_path / "broken.jpg", "OTHER": tmp_path / "other"}
    names |= {"IMAGE": write_image(tmp_path / "a.png", 1), "FOLDER": tmp_path}
    names["BROKEN"].write_bytes(b"\xff\xd8\xff not a JPEG")
    for seed, (part, name) in enumerate(itertools.product(PARTS, ("astrocytoma", "glioma"))):
        write_image(names["OTHER"] / part / name / "1.png", seed)
    before = contents(tmp_path)
    arguments = [names.get(flag, flag) for flag in flags]
    cache = ["--cache-dir", data.with_name("cache")]
    assert run("--checkpoint", workdir, *arguments, *cache) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert str(names.get(complaint, complaint)) in captured.err
    assert contents(tmp_path) == before


BENCHMARK = ["--benchmark", "--num-samples", 20, "--batch-size", 8, "--seeds", 2]


def test_a_benchmark_measures_methods_and_resumes(
    data_flags: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    methods = ["lime", "grad-cam", "integrated-gradients"]
    output = tmp_path / "benchmark"
    flags = [*data_flags, *BENCHMARK, "--reinitialisations", 1, "--output", output]
    assert run(*flags, "--method", *methods) == 0
    printed = capsys.readouterr().out
    assert "[2/2]" in printed
    assert "Faithfulness" in printed
    assert "gallery.html" in printed
    benchmark = json.loads((output / "benchmark.json").read_text())
    assert benchmark["methods"] == [*methods, "random", "centre", "edges"]
    assert benchmark["config"]["methods"]["lime"]["num_samples"] == 20
    assert benchmark["data"]["split"] == "test"
    for row in benchmark["rows"]:
        assert row["metrics"]["gap"]["n"] == row["n"]
    before = contents(output)
    assert run(*flags, "--method", *methods) == 0
    assert "measured before" in capsys.readouterr().out
    assert contents(output) == before


def test_a_benchmark_of_image_files_has_no_data_record(workdir: Path, tmp_path: Path) -> None:
    image = write_image(tmp_path / "a.png", 1)
    flags = [*BENCHMARK, "--reinitialisations", 0, "--method", "lime"]
    assert run("--checkpoint", workdir, "--image", image, *flags) == 0
    assert json.loads((workdir / "benchmark" / "benchmark.json").read_text())["data"] is None


def test_localisation_takes_every_image_that_has_a_mask(
    data: Path, data_flags: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lesion = np.zeros((36, 40), np.uint8)
    lesion[10:20, 10:20] = 255
    chosen = sorted((data / "Testing").rglob("*.png"))[:3]
    for path in chosen:
        mask = tmp_path / "masks" / path.relative_to(data)
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(lesion).save(mask)
    assert 0 < len(chosen) < len(list((data / "Testing").rglob("*.png")))
    flags = ["--benchmark", "--localisation", "--method", "occlusion", "--output", tmp_path / "out"]
    assert run(*data_flags, *flags, "--masks", tmp_path / "masks") == 0
    cells = [json.loads(path.read_text()) for path in (tmp_path / "out").rglob("occlusion.json")]
    assert {cell["id"] for cell in cells} == {str(path.relative_to(data)) for path in chosen}
    for cell in cells:
        right = cell["prediction"] == cell["true_class"]
        assert (cell["metrics"]["pointing"] is not None) == right
        assert cell["metrics"]["gap"] is None
    assert "has only" not in capsys.readouterr().out
    assert run(*data_flags, *flags) == 2
    assert "give --masks" in capsys.readouterr().err


@pytest.mark.slow
def test_a_benchmark_uses_the_lesion_masks_of_a_folder(
    data: Path, data_flags: list[object], tmp_path: Path
) -> None:
    lesion = np.zeros((36, 40), np.uint8)
    lesion[10:20, 10:20] = 255
    for path in (data / "Testing").rglob("*.png"):
        mask = tmp_path / "masks" / path.relative_to(data)
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(lesion).save(mask)
    flags = [*BENCHMARK, "--reinitialisations", 0, "--method", "lime", "--per-class", 3]
    flags += ["--masks", tmp_path / "masks", "--output", tmp_path / "benchmark"]
    assert run(*data_flags, *flags) == 0
    cells = [
        json.loads(p.read_text()) for p in (tmp_path / "benchmark").rglob("cells/**/lime.json")
    ]
    assert len(cells) == 4
    for cell in cells:
        right = cell["prediction"] == cell["true_class"]
        assert (cell["metrics"]["dice"] is not None) == right
