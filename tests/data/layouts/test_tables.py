"""Tables of images: CSV, JSON lines, Parquet; as Hugging Face and Roboflow write them."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakd_jax.data.layouts.tables import find_columns, scan_table
from fakd_jax.data.scanning import scan_folder
from fakd_jax.errors import UserError
from tests.data.layouts.sources import Opener, draw, draw_all, write_csv

HEADER = ("path", "label", "split", "group", "mask")
ROWS = [
    ("images/0.png", "a", "train", "p1", "outlines/0.png"),
    ("images/1.png", "b", "Training", "p1", ""),
    ("images/2.png", "a", "test", "p2", ""),
    ("images/3.png", "b", "test", "p3", ""),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images, and a mask of the first."""
    draw(tmp_path / "outlines/0.png", mask=True)
    return draw_all(tmp_path, [row[0] for row in ROWS])


@pytest.mark.parametrize("kind", ["csv", "tsv", "semicolons", "jsonl", "parquet"])
def test_a_table_gives_labels_splits_groups_and_masks(
    folder: Path, opened: Opener, kind: str
) -> None:
    table = folder / f"labels.{'csv' if kind == 'semicolons' else kind}"
    records = [dict(zip(HEADER, row, strict=True)) for row in ROWS]
    if kind == "jsonl":
        lines = [json.dumps({key: value for key, value in row.items() if value}) for row in records]
        table.write_text("\n".join(lines) + "\n")
    elif kind == "parquet":
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(arrow.Table.from_pylist(records), table)
    else:
        delimiter = {"csv": ",", "tsv": "\t", "semicolons": ";"}[kind]
        lines = [delimiter.join(row) for row in [HEADER, *ROWS]]
        table.write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    dataset = opened(table)
    assert dataset.name == "labels"
    assert dataset.counts() == {"train": {"a": 1, "b": 1}, "test": {"a": 1, "b": 1}}
    assert dataset.groups == {row[0]: row[3] for row in ROWS}
    assert dataset.masks.of("images/0.png") == (folder / "outlines/0.png",)
    assert dataset.masks.of("images/1.png") == ()
    assert "path, label, split, group, mask" in opened.logged("columns:")
    assert opened(table).examples == dataset.examples


def test_splits_that_only_the_table_tells_are_part_of_the_data(
    folder: Path, opened: Opener
) -> None:
    first = opened(write_csv(folder / "labels.csv", HEADER, ROWS))
    swapped = {"train": "test", "Training": "test", "test": "train"}
    rows = [(*row[:2], swapped[row[2]], *row[3:]) for row in ROWS]
    other = opened(write_csv(folder / "labels.csv", HEADER, rows))
    assert other.ids("test") == first.ids("train")
    assert other.fingerprint != first.fingerprint


def test_rows_may_name_images_of_a_file_that_has_several(tmp_path: Path, opened: Opener) -> None:
    stack = np.random.default_rng(0).integers(0, 256, (4, 12, 10), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    tifffile.imwrite(tmp_path / "b.tif", stack[::-1], photometric="minisblack")
    rows = [("a.tif#1", "tumour"), ("a.tif#3", "none"), ("b.tif", "none")]
    dataset = opened(write_csv(tmp_path / "labels.csv", ("path", "label"), rows))
    labels = {each.id: dataset.class_names[each.label] for each in dataset.examples}
    assert labels == dict(rows[:2]) | {f"b.tif#{number}": "none" for number in range(4)}
    np.testing.assert_array_equal(dataset.read(dataset.index_of("a.tif#3"))[..., 0], stack[3])
    write_csv(tmp_path / "labels.csv", ("path", "label"), [*rows, ("a.tif#4", "none")])
    with pytest.raises(UserError, match=r"a.tif#4 \(the file holds 4 images, numbered from 0\)"):
        opened(tmp_path / "labels.csv")
    write_csv(tmp_path / "labels.csv", ("path", "label"), [*rows, ("b.tif#0", "none")])
    with pytest.raises(UserError, match=r"several rows of the same image: b\.tif#0"):
        opened(tmp_path / "labels.csv")


def test_columns_have_the_names_that_people_give_them() -> None:
    names = ["Unnamed: 0", "File_Name", "Diagnosis", "Patient_ID", "image"]
    found = find_columns(names)
    assert found == {"path": "File_Name", "label": "Diagnosis", "group": "Patient_ID"}


def test_a_table_without_splits_and_with_paths_from_elsewhere(tmp_path: Path) -> None:
    accent = draw(tmp_path / "pictures" / unicodedata.normalize("NFD", "é.png"))
    outside = draw(tmp_path / "x.png", 1)
    table = write_csv(
        tmp_path / "tables" / "t.csv",
        ("file", "class"),
        [
            ("../pictures/" + unicodedata.normalize("NFC", "é.png"), 0),
            (outside, 1),
            ("..\\pictures\\b.png", 1),
        ],
    )
    draw(tmp_path / "pictures/b.png", 2)
    scan = scan_table(table)
    assert {image.path for image in scan.images} == {accent, outside, tmp_path / "pictures/b.png"}
    assert {image.split for image in scan.images} == {"unsplit"}
    assert scan.class_names == ("0", "1")
    assert {image.id for image in scan.images} == {
        f"pictures/{accent.name}",
        "pictures/b.png",
        str(outside).lstrip("/"),
    }


@pytest.mark.parametrize(
    ("header", "rows", "complaint"),
    [
        (("path", "age"), [("images/0.png", 3)], "none of them a label; it needs path and label"),
        (("path", "label"), [], "has no rows"),
        (("path", "label"), [("images/0.png", ""), ("", "a")], "2 of 2 rows have no path .*csv:2"),
        (("path", "label"), [("x.png", "a"), ("y.png", "b")], "none of the 2 images .* exists"),
        (("path", "label"), [("images/0.png", "a")] * 2, "several rows of the same .*images/0.png"),
        (HEADER[:3], [("images/0.png", "a", "fold1")], r"another split .*csv:2 \(fold1\)"),
        (HEADER[:3], [*(row[:3] for row in ROWS[:2]), ("images/2.png", "a", "")], "have no split"),
        (
            HEADER[:4],
            [*(row[:4] for row in ROWS[:3]), ("images/3.png", "a", "test", "")],
            "no group",
        ),
        (HEADER, [(*ROWS[0][:4], "gone.png")], "1 masks that do not exist: gone.png"),
        (("path", "label"), [("images/0.png/z.png", "a"), ("b.png", "b")], "none of the 2 images"),
    ],
)
def test_a_table_that_leaves_something_open_is_refused(
    folder: Path, header: tuple[str, ...], rows: list[tuple[object, ...]], complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint) as error:
        scan_table(write_csv(folder / "t.csv", header, rows))
    assert "\n" not in str(error.value)


def test_a_path_through_a_file_is_a_missing_image(folder: Path, opened: Opener) -> None:
    rows = [*(row[:2] for row in ROWS), ("images/0.png/z.png", "a")]
    with pytest.raises(UserError, match="1 of 5 images"):
        opened(write_csv(folder / "t.csv", ("path", "label"), rows))


@pytest.mark.parametrize(
    ("cell", "value", "complaint"),
    [
        ("path", "images/\0.png", r"1 of 1 rows have a path that cannot be: t\.jsonl:1"),
        ("label", "\ud800", "'.ud800' is not Unicode text"),
    ],
)
def test_cells_of_json_that_cannot_be_are_refused(
    folder: Path, cell: str, value: str, complaint: str
) -> None:
    row = {"path": "images/0.png", "label": "a"} | {cell: value}
    (folder / "t.jsonl").write_text(json.dumps(row))
    with pytest.raises(UserError, match=complaint):
        scan_table(folder / "t.jsonl")


@pytest.mark.parametrize("content", ["{", "[1]", '{"path": "x"}\nno\n'])
def test_broken_json_lines_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.jsonl").write_text(content)
    with pytest.raises(UserError, match=r"cannot read the table .*line \d"):
        scan_table(tmp_path / "t.jsonl")


METADATA = ("file_name", "label", "patient_id")


def test_an_imagefolder_is_read_by_the_metadata_of_each_split(tmp_path: Path) -> None:
    for split in ("train", "test"):
        draw_all(tmp_path / split, ["0.png", "1.png"])
        rows = [("0.png", "a", f"{split}0"), ("1.png", "b", f"{split}1")]
        write_csv(tmp_path / split / "metadata.csv", METADATA, rows)
    scan = scan_folder(tmp_path)
    assert scan.counts() == {"test": {"a": 1, "b": 1}, "train": {"a": 1, "b": 1}}
    assert scan.groups["train/1.png"] == "train1"
    assert "group from patient_id" in scan.layout


@pytest.mark.parametrize("folders", [("train", "test"), ("images",)])
def test_an_imagefolder_is_read_by_one_table(tmp_path: Path, folders: tuple[str, ...]) -> None:
    names = [f"{folder}/{number}.png" for folder in folders for number in (0, 1)]
    rows = [(name, "ab"[number % 2], "p") for number, name in enumerate(names)]
    draw_all(tmp_path / "wrapper", names)
    write_csv(tmp_path / "wrapper" / "metadata.csv", METADATA, rows)
    parts = {"unsplit"} if folders == ("images",) else set(folders)
    assert scan_folder(tmp_path).counts() == {part: {"a": 1, "b": 1} for part in parts}


@pytest.mark.parametrize("names", [("labels.csv",), ("train.csv", "test.csv")])
def test_tables_beside_the_images_are_read(tmp_path: Path, names: tuple[str, ...]) -> None:
    images = [f"scans/{name[:-4]}{n}.png" for name in names for n in (0, 1)]
    draw_all(tmp_path, images)
    for name in names:
        rows = [(image, "ab"[int(image[-5])]) for image in images if name[:-4] in image]
        write_csv(tmp_path / name, ("path", "label"), rows)
    write_csv(tmp_path / "notes.csv", ("when", "what"), [(1, 2)])
    scan = scan_folder(tmp_path)
    parts = {"unsplit"} if len(names) == 1 else {"train", "test"}
    assert scan.counts() == {part: {"a": 1, "b": 1} for part in parts}
    assert scan.layout.startswith(f"a folder with a table ({sorted(names)[0]}")


def test_metadata_beside_class_folders_is_a_stray_as_before(tmp_path: Path) -> None:
    draw_all(tmp_path, ["train/a/0.png", "train/b/0.png"])
    write_csv(tmp_path / "train/metadata.csv", ("file_name", "label"), [("a/0.png", "c")])
    scan = scan_folder(tmp_path)
    assert scan.class_names == ("a", "b")
    assert scan.strays == ("train/metadata.csv",)


def test_tables_without_labels_leave_class_folders_alone(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a/0.png", "b/0.png"])
    write_csv(tmp_path / "metadata.csv", ("file_name", "text"), [("a/0.png", "a head")])
    (tmp_path / "notes.csv").write_bytes(b"path,label\n\xff,\xfe\n")
    assert scan_folder(tmp_path).counts() == {"unsplit": {"a": 1, "b": 1}}


def test_a_multi_class_export_of_roboflow_is_read(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        draw_all(tmp_path / split, ["0.png", "1.png"])
        table = tmp_path / split / "_classes.csv"
        table.write_text("filename, a, b\n0.png, 1, 0\n1.png, 0, 1\n")
    scan = scan_folder(tmp_path)
    assert scan.counts() == {split: {"a": 1, "b": 1} for split in ("train", "val", "test")}
    table.write_text("filename, a, b\n0.png, 1, 1\n1.png, 0, 0\n")
    with pytest.raises(UserError, match=r"2 images: 0.png \(a, b\), 1.png \(none\)"):
        scan_folder(tmp_path)
