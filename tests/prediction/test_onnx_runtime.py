"""Prediction by ONNX Runtime: the same rows as with JAX, and which runtime is taken."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fakd_jax.errors import DamagedError, UserError
from fakd_jax.export.run import export_checkpoint
from fakd_jax.prediction.run import predict_files
from fakd_jax.prediction.runtimes import choose_runtime, open_network
from fakd_jax.runs.decision import Decision
from fakd_jax.runtime.mapping import LocalMapper
from tests.tiny import CLASS_NAMES, edit_metadata, save_tiny_checkpoint, write_image

quiet = {"log": lambda line: None}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = save_tiny_checkpoint(tmp_path_factory.mktemp("run"), head_scale=1e3)
    decision = Decision(1.5, 0.6).to_dict()
    edit_metadata(run / "student" / "best" / "7", decision=decision)
    return run


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_checkpoint(
        checkpoint, tmp_path_factory.mktemp("onnx") / "student.onnx", format="onnx", **quiet
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for seed in range(5):
        write_image(folder / f"{seed}.png", seed)
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_rows_are_those_of_jax(
    checkpoint: Path, exported: Path, images: Path, tmp_path: Path
) -> None:
    for name, network in (("jax", checkpoint), ("onnx", exported)):
        summary = predict_files(network, images, tmp_path / f"{name}.csv", batch_size=4, **quiet)
        assert summary.files == 6
    for row, expected in zip(rows(tmp_path / "onnx.csv"), rows(tmp_path / "jax.csv"), strict=True):
        for column, value in row.items():
            if column.startswith("p_") and value:
                assert float(value) == pytest.approx(float(expected[column]), abs=1e-4)
            else:
                assert value == expected[column]
    assert [column for column in row if column.startswith("p_")] == [f"p_{c}" for c in CLASS_NAMES]


def test_an_exported_network_is_taken_where_there_is_one(
    checkpoint: Path, exported: Path, tmp_path: Path
) -> None:
    assert choose_runtime(checkpoint, "auto") == "jax"
    assert choose_runtime(exported, "auto") == "onnx"
    assert choose_runtime(exported, "jax") == "jax"
    (tmp_path / "model.onnx").write_bytes(exported.read_bytes())
    assert choose_runtime(tmp_path, "auto") == "onnx"
    opened = open_network(tmp_path, batch_size=3)
    assert opened.decision == Decision(1.5, 0.6)
    assert opened.identity["runtime"] == "onnx"
    with pytest.raises(UserError, match="--format onnx"):
        open_network(checkpoint, runtime="onnx")
    with pytest.raises(UserError, match="leave out --dtype"):
        open_network(exported, dtype="bfloat16")


def test_workers_open_an_exported_network_too(exported: Path, images: Path, tmp_path: Path) -> None:
    for name, options in (("here", {}), ("there", {"mapper": LocalMapper()})):
        predict_files(exported, images, tmp_path / f"{name}.csv", batch_size=4, **options, **quiet)
    assert (tmp_path / "here.csv").read_bytes() == (tmp_path / "there.csv").read_bytes()


def test_a_damaged_network_in_a_bundle_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    bundle = export_checkpoint(
        checkpoint, tmp_path / "bundle", format="bundle", with_onnx=True, **quiet
    )
    open_network(bundle, runtime="onnx")
    alone = shutil.copytree(bundle, tmp_path / "alone")
    (alone / "model.onnx").rename(alone / "student.onnx")  # beside sums that do not list it
    open_network(alone / "student.onnx")
    sums = (bundle / "SHA256SUMS").read_bytes()
    (bundle / "SHA256SUMS").write_bytes(sums + b"\xff")
    with pytest.raises(DamagedError, match="SHA256SUMS cannot be read"):
        open_network(bundle)
    (bundle / "SHA256SUMS").write_bytes(sums)
    content = bytearray((bundle / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "model.onnx").write_bytes(content)
    with pytest.raises(DamagedError, match=r"model\.onnx changed"):
        open_network(bundle)


def test_it_needs_no_jax(exported: Path, images: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['jax'] = None\n"  # importing it fails
        "from fakd_jax.predict import main\n"
        f"main(['--checkpoint', {str(exported)!r}, {str(images / '0.png')!r}, "
        f"'--output', {str(tmp_path / 'rows.csv')!r}])\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert len(rows(tmp_path / "rows.csv")) == 1
