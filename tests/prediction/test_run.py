"""The whole prediction without JAX: rows, interruptions, what may be gone on with."""

from __future__ import annotations

import csv
import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakd_jax.errors import UserError
from fakd_jax.prediction import run, unfinished
from fakd_jax.prediction.blocks import Block
from fakd_jax.prediction.file_list import ListedFile
from fakd_jax.prediction.reading import ReadImage
from fakd_jax.prediction.rows import Row
from fakd_jax.prediction.run import Summary, predict_with, require_new
from fakd_jax.prediction.runtimes import open_network
from fakd_jax.runs.decision import Decision
from tests.prediction.brightness import (
    BATCH_SIZE,
    Brightness,
    DarkImages,
    brightness_network,
    write_colour,
    write_colours,
)

DECISION = Decision(2.0, 0.6)


def silent(line: str) -> None:
    """Logs nothing."""


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return [*csv.DictReader(lines)]


def predict(output: Path, *names: Path | str, runtime: Brightness | None = None) -> Summary:
    network = brightness_network(runtime, decision=DECISION, reference=DarkImages())
    return predict_with(network, [str(name) for name in names], output, log=silent)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """21 images, a file of five images among them, and two that cannot be read."""
    folder = write_colours(tmp_path_factory.mktemp("data") / "scans", 19)
    pages = np.stack([np.full((20, 20, 3), level, np.uint8) for level in range(0, 250, 50)])
    tifffile.imwrite(folder / "0007-pages.tif", pages, photometric="rgb")
    (folder / "0003-text.png").write_text("no image")
    (folder / "0018-cut.png").write_bytes((folder / "0000.png").read_bytes()[:40])
    return folder


@pytest.fixture(scope="module")
def whole(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table of an uninterrupted prediction."""
    output = tmp_path_factory.mktemp("whole") / "rows.csv"
    predict(output, scans)
    return output.read_bytes()


def test_a_row_per_image_in_order(scans: Path, tmp_path: Path) -> None:
    summary = predict(tmp_path / "rows.csv", scans, scans / "0000.png")
    rows = rows_of(summary.output)
    paths = [row["path"] for row in rows]
    assert paths == sorted(paths)
    assert (summary.files, summary.tally.rows, summary.tally.errors) == (22, 26, 2)
    assert [row["frame"] for row in rows if "pages" in row["path"]] == [*"01234"]
    assert [bool(row["error"]) for row in rows] == ["text" in p or "cut" in p for p in paths]
    first = rows[1]  # (37, 91, 13)
    assert (first["prediction"], first["quality"]) == ("green", "almost no contrast")
    assert float(first["ood_score"]) == pytest.approx(91 / 255, abs=1e-6)
    powers = np.exp(10 * np.array([37, 91, 13]) / 255 / 2)
    found = [float(first[f"p_{name}"]) for name in ("red", "green", "blue")]
    np.testing.assert_allclose(found, powers / powers.sum(), rtol=1e-5)
    confidence = np.exp(10 * 91 / 255) / np.exp(10 * np.array([37, 91, 13]) / 255).sum()
    assert (first["abstained"] == "true") == (confidence < 0.6)
    assert summary.tally.abstained == sum(row["abstained"] == "true" for row in rows) > 0
    beyond = sum(float(row["ood_score"] or 0) > 0.5 for row in rows)
    assert 0 < summary.tally.foreign == beyond < 24


@pytest.mark.parametrize("seconds", [0.0, 1e9])
@pytest.mark.parametrize("batches", [(1,), (2, 1, 3), (6,)])
def test_interrupted_and_gone_on_with_it_ends_as_if_nothing_had_happened(
    scans: Path,
    whole: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    batches: tuple[int, ...],
    seconds: float,
) -> None:
    monkeypatch.setattr(unfinished, "COMMIT_SECONDS", seconds)
    output = tmp_path / "rows.csv"
    for last in batches:

        def interrupt(number: int, last: int = last) -> None:
            if number == last:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            predict(output, scans, runtime=Brightness(interrupt))
        assert not output.exists()
    runtime = Brightness()
    predict(output, scans, runtime=runtime)
    assert output.read_bytes() == whole
    done = sum(last - 1 for last in batches)
    assert runtime.batches <= -(-24 // BATCH_SIZE) - done + 1  # the last one is of the rest
    assert [*tmp_path.iterdir()] == [output]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_the_other_formats_are_gone_on_with_too(scans: Path, tmp_path: Path, suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="needs the extra `parquet`")

    def interrupt(number: int) -> None:
        if number == 3:
            raise KeyboardInterrupt

    outputs = [tmp_path / f"{name}.{suffix}" for name in ("whole", "interrupted")]
    with pytest.raises(KeyboardInterrupt):
        predict(outputs[1], scans, runtime=Brightness(interrupt))
    for output in outputs:
        predict(output, scans)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


def interrupted(output: Path, *names: Path | str) -> None:
    """Leaves an unfinished output with one batch."""

    def interrupt(number: int) -> None:
        if number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(output, *names, runtime=Brightness(interrupt))


def test_files_that_come_later_are_left_and_those_that_vanish_are_errors(tmp_path: Path) -> None:
    folder = write_colours(tmp_path / "scans", 9)
    output = tmp_path / "rows.csv"
    interrupted(output, folder)
    write_colour(folder / "0005b.png", (1, 2, 3))
    (folder / "0008.png").unlink()
    summary = predict(output, folder)
    assert (summary.tally.rows, summary.tally.errors) == (9, 1)
    assert rows_of(output)[-1]["error"] == "there is no such file"


def test_an_archive_is_unpacked_once(scans: Path, tmp_path: Path) -> None:
    import shutil

    archive = Path(shutil.make_archive(str(tmp_path / "scans"), "zip", scans))
    output = tmp_path / "rows.csv"
    interrupted(output, archive)
    unpacked = unfinished.hidden_folder(output) / unfinished.ARCHIVES_FOLDER / "0"
    assert (unpacked / "0000.png").is_file()
    archive.write_bytes(b"")  # the list of the first start counts
    assert predict(output, archive).tally.rows == 26
    assert rows_of(output)[0]["path"] == f"{archive}/0000.png"
    assert {path.name for path in tmp_path.iterdir()} == {"rows.csv", "scans.zip"}


def change_decision(network: run.OpenedNetwork) -> run.OpenedNetwork:
    return run.replace(network, decision=Decision(3.0, 0.6))


def change_weights(network: run.OpenedNetwork) -> run.OpenedNetwork:
    return run.replace(network, identity={"weights_sha256": "0" * 64})


@pytest.mark.parametrize(
    ("change", "named"),
    [(change_decision, "decision.temperature: 2.0, now 3.0"), (change_weights, "weights_sha256")],
)
def test_another_network_does_not_go_on(
    scans: Path, tmp_path: Path, change: Callable[..., run.OpenedNetwork], named: str
) -> None:
    output = tmp_path / "rows.csv"
    interrupted(output, scans)
    network = change(brightness_network(decision=DECISION, reference=DarkImages()))
    with pytest.raises(UserError, match=f"(?s){named}.*--restart"):
        predict_with(network, [str(scans)], output, log=silent)
    summary = predict_with(network, [str(scans)], output, restart=True, log=silent)
    assert summary.tally.rows == 26


def test_other_inputs_do_not_go_on(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "rows.csv"
    interrupted(output, scans)
    with pytest.raises(UserError, match="by other settings"):
        predict(output, scans, scans / "0000.png")
    monkeypatch.chdir(tmp_path)  # relative paths would be others
    with pytest.raises(UserError, match="working_folder"):
        predict(output, scans)


def test_a_list_that_changed_does_not_go_on(scans: Path, tmp_path: Path) -> None:
    output, paths = tmp_path / "rows.csv", tmp_path / "paths.txt"
    paths.write_text(f"{scans}\n")

    def interrupt(number: int) -> None:
        raise KeyboardInterrupt

    lines: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        predict_with(
            brightness_network(Brightness(interrupt)),
            [],
            output,
            path_list=str(paths),
            log=lines.append,
        )
    assert lines[-1] == "0 rows are kept; run the same command to go on"
    network = brightness_network()
    paths.write_text(f"{scans / '0000.png'}\n")
    with pytest.raises(UserError, match="list_sha256"):
        predict_with(network, [], output, path_list=str(paths), log=silent)
    paths.write_text(f"{scans}\n")
    assert predict_with(network, [], output, path_list=str(paths), log=silent).tally.rows == 26


def test_what_is_not_known_is_said_once_and_leaves_cells_empty(scans: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    output = tmp_path / "rows.csv"
    predict_with(brightness_network(), [str(scans)], output, log=lines.append)
    text = "\n".join(lines)
    for word in ("not calibrated", "abstained stays empty", "ood_score and quality stay empty"):
        assert text.count(word) == 1
    for row in rows_of(output):
        assert (row["abstained"], row["ood_score"], row["quality"]) == ("", "", "")
    lines.clear()
    known = brightness_network(decision=DECISION, reference=DarkImages())
    predict_with(known, [str(scans)], tmp_path / "known.csv", log=lines.append)
    assert not [line for line in lines if "empty" in line or "calibrated" in line]


def test_a_window_of_the_files_own_is_said_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        pages = np.full((20, 20), 3_000, np.uint16)
        tifffile.imwrite(tmp_path / f"{name}.tif", pages, photometric="minisblack")
    lines: list[str] = []
    output = tmp_path / "rows.csv"
    predict_with(brightness_network(), [str(tmp_path)], output, log=lines.append)
    assert sum("--window" in line for line in lines) == 1


def test_outputs_that_cannot_be_are_refused_before_anything_else(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("precious")
    with pytest.raises(UserError, match=r"rows\.csv exists; .*--overwrite"):
        require_new(tmp_path / "rows.csv", overwrite=False)
    assert require_new(tmp_path / "rows.csv", overwrite=True) == tmp_path / "rows.csv"
    with pytest.raises(UserError, match="is a folder"):
        require_new(tmp_path, overwrite=True)
    network = brightness_network()
    with pytest.raises(UserError, match="there is no input"):
        predict_with(network, [], tmp_path / "b.csv", log=silent)
    with pytest.raises(UserError, match="there is no image in"):
        predict_with(network, [str(tmp_path)], tmp_path / "b.csv", log=silent)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]
    with pytest.raises(UserError, match="unknown runtime 'abacus'; choose one of auto, jax, onnx"):
        open_network(tmp_path, runtime="abacus")


def test_an_earlier_output_stays_until_the_new_one_is_there(scans: Path, tmp_path: Path) -> None:
    output = tmp_path / "rows.csv"
    output.write_text("old")
    interrupted(output, scans)
    assert output.read_text() == "old"
    predict(output, scans)
    assert len(rows_of(output)) == 26


def test_few_files_images_and_rows_are_alive_however_many_files_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    one = write_colour(tmp_path / "a.png", (1, 2, 3))
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(240):
        os.link(one, folder / f"{number:06}.png")
    alive: list[int] = []

    def count(number: int) -> None:
        if number % 12 == 0:
            kinds = (Row, ReadImage, ListedFile, Block)
            alive.append(sum(isinstance(each, kinds) for each in gc.get_objects()))

    assert predict(tmp_path / "rows.csv", folder, runtime=Brightness(count)).files == 240
    assert len(alive) == 5
    assert max(alive) < 60


def test_nothing_but_the_runtime_needs_jax() -> None:
    code = (
        "import sys, fakd_jax.prediction.run, fakd_jax.predict; assert 'jax' not in sys.modules; "
        "fakd_jax.predict.make_parser()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
