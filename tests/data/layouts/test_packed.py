"""Images inside Parquet and MATLAB files: written out once, with labels, patients and masks."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fakd_jax.errors import UserError
from tests.data.layouts.sources import Opener

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (4, 12, 10), np.uint8)


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(path: Path, rows: list[dict[str, Any]], names: list[str] | None = None) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = arrow.Table.from_pylist(rows)
    if names:
        features = {"label": {"names": names, "_type": "ClassLabel"}, "image": {"_type": "Image"}}
        info = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": info})
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path)


@pytest.mark.parametrize("whole", [True, False], ids=["folder", "file"])
def test_a_parquet_export_is_written_out_once(tmp_path: Path, opened: Opener, whole: bool) -> None:
    rows = [
        {"image": {"bytes": encoded(pixels), "path": "../../x.png"}, "label": n % 2, "pid": f"p{n}"}
        for n, pixels in enumerate(PIXELS)
    ]
    data = tmp_path / "set" / "data"
    write_parquet(data / "train-00000-of-00001.parquet", rows[:2], ["glioma", "none"])
    write_parquet(data / "test-00000-of-00001.parquet", rows[2:], ["glioma", "none"])
    dataset = opened(tmp_path / "set" if whole else data / "train-00000-of-00001.parquet")
    both = {"glioma": 1, "none": 1}
    assert dataset.counts() == ({"train": both, "test": both} if whole else {"train": both})
    first = dataset.index_of("train/data-train-00000-of-00001-000001.png") if whole else 0
    np.testing.assert_array_equal(dataset.read(first)[..., 0], PIXELS[0])
    assert list(dataset.groups.values()).count("p0") == 1
    assert not (tmp_path / "x.png").exists()
    before = len(opened.lines)
    again = opened(dataset.source)
    assert again.examples == dataset.examples
    assert all("unpacking" not in line for line in opened.lines[before:])


@pytest.mark.parametrize("split", ["../../../outside", "/tmp/outside", "fold1"])
def test_a_split_of_parquet_is_no_path(tmp_path: Path, opened: Opener, split: str) -> None:
    row = {"image": encoded(PIXELS[0]), "label": "a", "split": split}
    write_parquet(tmp_path / "set" / "x.parquet", [row])
    before = {*tmp_path.parent.rglob("*")}
    with pytest.raises(UserError, match="has the split"):
        opened(tmp_path / "set")
    assert not any("outside" in path.name for path in {*tmp_path.parent.rglob("*")} - before)


def test_parquet_that_lacks_something_is_refused(tmp_path: Path, opened: Opener) -> None:
    write_parquet(tmp_path / "a" / "x.parquet", [{"image": encoded(PIXELS[0])}])
    with pytest.raises(UserError, match=r"has the columns image; it needs image .* and label"):
        opened(tmp_path / "a")
    write_parquet(tmp_path / "b" / "x.parquet", [{"image": encoded(PIXELS[0]), "label": 7}], ["a"])
    with pytest.raises(UserError, match="none of its 1 classes"):
        opened(tmp_path / "b")
    (tmp_path / "b" / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="no readable Parquet file"):
        opened(tmp_path / "b")
    assert not any((opened.cache / "unpacked").glob("*"))


def write_slice(path: Path, label: int, patient: str, image: np.ndarray) -> None:
    h5py = pytest.importorskip("h5py")
    mask = np.zeros(image.shape, np.uint8)
    mask[2:4, 5:9] = 1
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data = file.create_group("cjdata")
        data["label"] = np.array([[float(label)]])
        data["PID"] = np.array([[ord(letter)] for letter in patient], np.uint16)
        data["image"] = image.T  # MATLAB stores columns first
        data["tumorMask"] = mask.T
        data["tumorBorder"] = np.zeros((1, 4))


def test_figshares_slices_keep_patients_and_masks(tmp_path: Path, opened: Opener) -> None:
    h5py = pytest.importorskip("h5py")
    images = RNG.integers(0, 4096, (4, 12, 10)).astype(np.int16)
    for number, image in enumerate(images):
        path = tmp_path / "set" / f"part{number % 2}" / f"{number}.mat"
        write_slice(path, number % 3 + 1, f"MR0{number // 2}", image)
    with h5py.File(tmp_path / "set" / "cvind.mat", "w") as file:
        file["cvind"] = np.ones((4, 1))
    dataset = opened(tmp_path / "set")
    assert dataset.counts() == {"unsplit": {"glioma": 1, "meningioma": 2, "pituitary": 1}}
    assert dataset.groups["images/part1-3.png"] == "MR01"
    assert "1 MATLAB files without cjdata ignored: cvind.mat" in opened.logged("cvind")
    (mask,) = dataset.masks.of("images/part0-0.png")
    assert np.argwhere(np.asarray(Image.open(mask)) == 255).tolist() == [
        [row, column] for row in (2, 3) for column in range(5, 9)
    ]
    stored = np.asarray(Image.open(dataset.folder / "images/part1-1.png"))
    np.testing.assert_array_equal(stored, images[1])
    read = dataset.read(dataset.index_of("images/part1-1.png"))
    np.testing.assert_array_equal(read[..., 0], np.rint(images[1] * (255 / 4_095)))


def test_other_matlab_files_are_all_named(tmp_path: Path, opened: Opener) -> None:
    h5py = pytest.importorskip("h5py")
    for name in ("a", "b"):
        (tmp_path / "set").mkdir(exist_ok=True)
        (tmp_path / "set" / f"{name}.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    write_slice(tmp_path / "set" / "c.mat", 9, "p", np.zeros((12, 10), np.int16))
    write_slice(tmp_path / "set" / "d.mat", 1, "p", np.full((12, 10), -1, np.int16))
    with pytest.raises(UserError) as error:
        opened(tmp_path / "set")
    for words in ("4 of 4 MATLAB files", "a.mat (", "b.mat (", "label is 9", "not of 16-bit"):
        assert words in str(error.value)
    assert h5py
