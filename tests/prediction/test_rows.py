"""From logits to cells, by hand; and rows as CSV, JSON lines and Parquet."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest

from fakd_jax.errors import UserError
from fakd_jax.inference.predictor import softmax
from fakd_jax.prediction import formats
from fakd_jax.prediction.file_list import ListedFile
from fakd_jax.prediction.formats import row_format
from fakd_jax.prediction.reading import ReadImage
from fakd_jax.prediction.rows import Judge, Row, Tally, column_names, probabilities
from fakd_jax.runs.decision import Decision
from tests.prediction.brightness import NAMES, SIDE, Brightness, DarkImages

LOGITS = np.log(np.array([[0.5, 0.3, 0.2], [0.05, 0.15, 0.8]], np.float32))
COLUMNS = "path,frame,prediction,abstained,p_red,p_green,p_blue,ood_score,quality,error"
THIRD = float(np.float32(1 / 3))
ROWS = (
    Row("a,\n.png", 0, "blue", False, (THIRD, 0.0, 1 - THIRD), 1.5, ""),
    Row("b.tif", 12, "red", True, (1.0, 0.0, 0.0), None, "blurred"),
    Row("\\xff.png", error="no image"),
)


def image(colour: tuple[int, int, int], quality: str | None = None) -> ReadImage:
    pixels = np.full((SIDE, SIDE, 3), colour, np.uint8)
    return ReadImage(ListedFile(1, "a.png", "a.png", ""), 0, pixels, quality, "", True)


def test_probabilities_are_those_of_the_logits_divided_by_the_temperature() -> None:
    roots = np.sqrt([0.5, 0.3, 0.2])
    calibrated = probabilities(LOGITS, Decision(temperature=2.0))
    np.testing.assert_allclose(calibrated[0], roots / roots.sum(), rtol=1e-6)
    for unknown in (None, Decision(None, 0.5)):
        np.testing.assert_array_equal(probabilities(LOGITS, unknown), softmax(LOGITS))


def test_abstaining_goes_by_the_confidence_before_the_temperature() -> None:
    # Logits are ten times the brightness: the confidence is e / (e + 2) = 0.576 and e² / (e² + 2)
    # = 0.787; a temperature of 10 would bring both below 0.4.
    images = [image((26, 0, 0)), image((0, 51, 0))]
    confidence = [math.exp(x) / (math.exp(x) + 2) for x in (260 / 255, 2)]
    cold = Decision(10.0, sum(confidence) / 2)
    rows = Judge(Brightness(), NAMES, cold, None).rows(images)
    assert [row.prediction for row in rows] == ["red", "green"]
    assert [row.abstained for row in rows] == [True, False]
    assert max(rows[1].probabilities) == pytest.approx(math.exp(0.2) / (math.exp(0.2) + 2))
    rows = Judge(Brightness(), NAMES, None, None).rows(images)
    assert [row.abstained for row in rows] == [None, None]
    assert [max(row.probabilities) for row in rows] == pytest.approx(confidence)


def test_errors_keep_their_places_among_images() -> None:
    bad = ReadImage(ListedFile(2, "bad\udcff.png", "", ""), None, None, None, "broken", True)
    rows = Judge(Brightness(), NAMES, None, None).rows([bad, image((0, 0, 9)), bad])
    assert rows[0] == rows[2] == Row("bad\\xff.png", error="broken")
    assert rows[1].prediction == "blue"
    runtime = Brightness()
    assert Judge(runtime, NAMES, None, None).rows([bad]) == [rows[0]]
    assert runtime.batches == 0


def test_foreign_and_poor_images_are_scored_and_counted() -> None:
    images = [image((51, 0, 0), ""), image((204, 0, 0), "almost no contrast")]
    rows = Judge(Brightness(), NAMES, None, DarkImages()).rows(images)
    assert [row.ood_score for row in rows] == pytest.approx([0.2, 0.8])
    assert [row.quality for row in rows] == ["", "almost no contrast"]
    assert Tally(rows=5).with_rows(rows, 0.5) == Tally(rows=7, foreign=1, flagged=1)
    assert Tally().with_rows(ROWS, None) == Tally(3, 1, 1, 0, 1)


def test_csv() -> None:
    chosen = row_format(Path("a.csv"), NAMES)
    text = (chosen.header() + chosen.encode(ROWS)).decode()
    assert text.splitlines()[0] == COLUMNS == ",".join(column_names(NAMES))
    assert [*csv.reader(text.splitlines(keepends=True))][1:] == [
        ["a,\n.png", "0", "blue", "false", "0.333333343", "0", "0.666666657", "1.5", "", ""],
        ["b.tif", "12", "red", "true", "1", "0", "0", "", "blurred", ""],
        ["\\xff.png", "", "", "", "", "", "", "", "", "no image"],
    ]


def test_carriage_returns_in_names_end_no_record() -> None:
    text = row_format(Path("a.csv"), NAMES).encode([Row("a\rb\r\n.png", error="no image")])
    ((name, *_),) = csv.reader(io.StringIO(text.decode(), newline=""))
    assert name == "a\rb\r\n.png"
    assert text.endswith(b",no image\n")


def test_json_lines() -> None:
    chosen = row_format(Path("a.JSONL"), NAMES)
    lines = (chosen.header() + chosen.encode(ROWS)).splitlines()
    first, second, third = map(json.loads, lines)
    assert [*first] == COLUMNS.split(",")
    assert np.float32(first["p_red"]) == np.float32(1 / 3)
    assert (first["abstained"], second["abstained"], third["abstained"]) == (False, True, None)
    assert (first["quality"], second["ood_score"], third["quality"]) == ("", None, None)


def test_parquet_has_types_nulls_and_bounded_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `parquet`")
    monkeypatch.setattr(formats, "ROWS_PER_GROUP", 2)
    chosen = row_format(tmp_path / "a.parquet", NAMES)
    (tmp_path / "rows").write_bytes(chosen.header() + chosen.encode(ROWS))
    chosen.finish(tmp_path / "rows", tmp_path / "a.parquet")
    file = parquet.ParquetFile(tmp_path / "a.parquet")
    table = file.read()
    assert file.num_row_groups == 2
    types = dict(zip(table.schema.names, map(str, table.schema.types), strict=True))
    assert [*types] == COLUMNS.split(",")
    assert types["frame"] == "int32"
    assert types["abstained"] == "bool"
    assert {types[name] for name in ("p_red", "p_green", "p_blue", "ood_score")} == {"float"}
    assert {types[name] for name in ("path", "prediction", "quality", "error")} == {"string"}
    first, _, third = table.to_pylist()
    assert first["p_red"] == THIRD
    assert first["error"] is None
    assert {name: value for name, value in third.items() if value is not None} == {
        "path": "\\xff.png",
        "error": "no image",
    }


def test_another_suffix_is_an_error() -> None:
    with pytest.raises(UserError, match=r"must end in \.csv, \.jsonl, \.parquet"):
        row_format(Path("a.xlsx"), NAMES)
