"""The measurement of growth: planted copies, rows and the figure."""

from __future__ import annotations

import importlib
import json
import time
from pathlib import Path

import pytest

from fakd_jax.data.pixels.raster import decode_rgb
from fakd_jax.errors import UserError
from tests.tiny import save_tiny_checkpoint

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(autouse=True)
def _scripts_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))


def test_pictures_are_phantoms_and_altered_copies_of_the_first(tmp_path):
    pictures = importlib.import_module("growth.pictures")
    pictures.write_part(tmp_path, originals=6, copies=4, start=0)
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert files == {
        *map(pictures.original_id, range(6)),
        *map(pictures.copy_id, range(4)),
    }
    jpeg = decode_rgb(tmp_path / pictures.copy_id(0), "copy").astype(int)
    assert abs(jpeg - decode_rgb(tmp_path / pictures.original_id(0), "original")).mean() < 8
    assert len(pictures.PLANTED) == 8


def test_rows_replace_those_of_the_same_number_and_are_drawn(tmp_path):
    plot = importlib.import_module("growth.plot")
    rows = [{"what": "audit", "n": n, "seconds": n / 10, "peak_rss_gib": 1.0} for n in (100, 10)]
    plot.keep_rows(tmp_path, rows)
    plot.keep_rows(tmp_path, [rows[0] | {"seconds": 99.0}, rows[0] | {"what": "evaluation"}])
    kept = json.loads((tmp_path / "growth.json").read_text())
    assert [(row["what"], row["n"], row["seconds"]) for row in kept] == [
        *(("audit", 10, 1.0), ("audit", 100, 99.0), ("evaluation", 100, 10.0))
    ]
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_an_earlier_audit_is_refused_before_anything_is_drawn(tmp_path):
    (tmp_path / "cache-400/audits").mkdir(parents=True)
    (tmp_path / "cache-400/audits/some.json").write_text("{}")
    script = importlib.import_module("growth.audit")
    with pytest.raises(UserError, match="cache-400 holds an audit"):
        script.main(["--output", str(tmp_path), "--images", "300", "400"])
    assert not (tmp_path / "pictures-300").exists()


def test_a_figure_without_rows_is_refused(tmp_path):
    plot = importlib.import_module("growth.plot")
    for argv in ([], [str(tmp_path)], [str(tmp_path), str(tmp_path / "evaluation.json")]):
        with pytest.raises(UserError):
            plot.main(argv)
    assert not list(tmp_path.iterdir())


def test_processor_and_clock_are_timed_apart():
    _, asleep = importlib.import_module("growth.measuring").timed(time.sleep, 0.1)
    assert asleep["wall_seconds"] >= 0.1
    assert asleep["seconds"] < 0.08
    assert asleep["peak_rss_gib"] > 0.01


def test_made_up_predictions_are_evaluated():
    row = importlib.import_module("growth.evaluation").measure_growth(120, 3)
    assert (row["what"], row["n"]) == ("evaluation, 3 classes", 120)
    assert 0 < row["given_gib"] <= row["peak_rss_gib"]
    assert min(row["seconds"], row["wall_seconds"]) > 0


def test_made_up_predictions_have_pairs_and_are_mostly_right():
    made = importlib.import_module("growth.evaluation").made_up(300, ("a", "b", "c"))
    predictions = made.predictions
    assert (predictions.logits.argmax(axis=1) == predictions.labels).mean() > 0.85
    assert sorted(made.groups.values()) == [index // 2 for index in range(100)]
    assert (len(made.validation.ids), len(made.baseline.predictions)) == (30, 300)


@pytest.mark.slow
def test_files_are_predicted_and_timed(tmp_path):
    importlib.import_module("growth.pictures").write_part(tmp_path / "in", 10, 2, 0)
    workdir = save_tiny_checkpoint(tmp_path / "run")
    script = importlib.import_module("growth.prediction")
    row = script.measure(str(workdir), tmp_path / "in", tmp_path / "rows.csv", 4)
    assert (row["what"], row["n"]) == ("prediction", 12)
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 13
    assert row["files_per_second"] > 0
    assert "12 files" in script.describe(row)


@pytest.mark.slow
def test_planted_copies_are_found(tmp_path):
    measured = importlib.import_module("growth.audit").measure(tmp_path, 400)
    preparation, audit = measured
    assert (preparation["what"], preparation["n"]) == ("preparation", 400)
    assert (audit["copies"], audit["found"]) == (4, 4)
    assert audit["wrong"] == 0
    assert 0 < audit["peak_rss_gib"] < 8
