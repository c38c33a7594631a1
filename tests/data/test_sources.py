from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import kagglehub
import numpy as np
import pytest
from PIL import Image

from fakd_jax.data import kaggle, sources
from fakd_jax.data.pixels.frames import read_picture
from fakd_jax.data.pixels.raster import decode_rgb
from fakd_jax.data.pixels.window import PixelRules
from fakd_jax.data.sources import open_dataset, save_prepared
from fakd_jax.errors import UserError

RNG = np.random.default_rng(99)
COLOUR = RNG.integers(0, 256, (12, 10, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (12, 10), dtype=np.uint8)


class Opener:
    """Opens sources with one cache and remembers what was logged."""

    def __init__(self, cache: Path):
        self.cache = cache
        self.lines: list[str] = []

    def __call__(self, source, **keywords):
        return open_dataset(source, cache_dir=self.cache, log=self.lines.append, **keywords)


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    return Opener(tmp_path / "cache")


def forbid_inspection(monkeypatch) -> None:
    def refuse(*args, **keywords):
        raise AssertionError("the images were looked into again")

    monkeypatch.setattr("fakd_jax.data.preparation.inspect_images", refuse)


def test_what_was_prepared_is_found_again_without_reading_the_images(
    small_tree, opened, monkeypatch
):
    first = opened(small_tree)
    forbid_inspection(monkeypatch)
    logged = len(opened.lines)
    again = opened(str(small_tree))
    assert again.fingerprint == first.fingerprint
    assert again.examples == first.examples
    assert again.report == first.report
    assert len(opened.lines) == logged
    assert (again.name, again.version) == ("source", first.fingerprint[:12])
    assert again.source == str(small_tree)


def test_a_changed_source_is_prepared_anew(small_tree, opened):
    first = opened(small_tree)
    Image.fromarray(COLOUR).save(small_tree / "Training/a/000.png")
    second = opened(small_tree)
    assert second.fingerprint != first.fingerprint
    index = second.index_of("Training/a/000.png")
    np.testing.assert_array_equal(second.read(index), COLOUR)
    (small_tree / "Testing/a/000.png").unlink()
    assert len(opened(small_tree)) == len(second) - 1


@pytest.mark.parametrize("wrapper", ["", "dataset"])
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_is_the_same_data_as_its_folder(
    small_tree, tmp_path, opened, monkeypatch, kind, wrapper
):
    archive = tmp_path / f"data.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for path in small_tree.rglob("*.png"):
                zipped.write(path, Path(wrapper, path.relative_to(small_tree)))
    else:
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(small_tree, arcname=wrapper or ".")
    dataset = opened(archive)
    assert dataset.fingerprint == opened(small_tree).fingerprint
    assert dataset.name == "data"
    forbid_inspection(monkeypatch)
    monkeypatch.setattr("fakd_jax.data.sources.sha256_of_file", None)
    assert opened(archive).examples == dataset.examples


ODD_IMAGES = {
    "rgba.png": lambda path: Image.fromarray(np.dstack([COLOUR, GREY])).save(path),
    "sixteen.png": lambda path: Image.fromarray(GREY.astype(np.uint16) * 257).save(path),
    "palette.png": lambda path: Image.fromarray(COLOUR).quantize(16).save(path),
    "black_and_white.png": lambda path: Image.fromarray(GREY > 127).save(path),
    "keyed.png": lambda path: Image.fromarray(GREY).save(path, transparency=int(GREY[0, 0])),
    "cmyk.jpg": lambda path: Image.fromarray(COLOUR).convert("CMYK").save(path),
    "turned.jpg": lambda path: Image.fromarray(COLOUR).save(path, exif=turned()),
    "bitmap.bmp": lambda path: Image.fromarray(COLOUR).save(path),
    "tagged.tif": lambda path: Image.fromarray(COLOUR).save(path),
    "png_called.jpg": lambda path: Image.fromarray(np.dstack([COLOUR, GREY])).save(path, "PNG"),
}
PLAIN_IMAGES = {
    "rgb.png": lambda path: Image.fromarray(COLOUR).save(path),
    "grey.png": lambda path: Image.fromarray(GREY).save(path),
    "rgb.jpg": lambda path: Image.fromarray(COLOUR).save(path),
    "grey.jpeg": lambda path: Image.fromarray(GREY).save(path),
    "UPPER.JPG": lambda path: Image.fromarray(COLOUR).save(path),
}


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_images_of_every_kind_are_read_as_the_one_decoder_reads_the_files(small_tree, opened):
    folder = small_tree / "Training/a"
    for name, write in (ODD_IMAGES | PLAIN_IMAGES).items():
        write(folder / name)
    dataset = opened(small_tree)
    for name in ODD_IMAGES | PLAIN_IMAGES:
        image = dataset.read(dataset.index_of(f"Training/a/{name}"))
        expected = read_picture(str(folder / name), dataset.pixels)
        np.testing.assert_array_equal(image, expected, err_msg=name)
    assert set(dataset.report["reencoded"]) == {f"Training/a/{name}" for name in ODD_IMAGES}
    assert dataset.report["reencoded"]["Training/a/rgba.png"] == "mode RGBA"
    assert dataset.report["reencoded"]["Training/a/turned.jpg"] == "EXIF orientation"
    assert dataset.report["sizes"] == {"10x12": len(dataset) - 1, "12x10": 1}
    assert dataset.report["modes"]["L"] == 3


def test_plain_images_keep_their_bytes(small_tree, opened):
    PLAIN_IMAGES["grey.jpeg"](small_tree / "Testing/b/grey.jpeg")
    dataset = opened(small_tree)
    (records,) = dataset.records.rglob("*test*record*")
    assert (small_tree / "Testing/b/grey.jpeg").read_bytes() in records.read_bytes()


def spoil(folder: Path) -> dict[str, str]:
    """Adds every kind of unusable image; returns what should be said of each."""
    Image.fromarray(COLOUR.repeat(9, 0)).save(folder / "cut.jpg")
    content = (folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(content[: len(content) // 2])
    Image.new("RGB", (1, 1)).save(folder / "pixel.png")
    Image.new("1", (9000, 9000)).save(folder / "huge.png")
    (folder / "text.jpg").write_text("this is no image")
    (folder / "void.jpg").write_bytes(b"")
    (folder / "lost.png").symlink_to(folder / "nowhere.png")
    return {
        "cut.jpg": "broken",
        "pixel.png": "1 × 1",
        "huge.png": "9000 × 9000",
        "text.jpg": "not an image",
        "void.jpg": "not an image",
        "lost.png": "No such file",
    }


def test_unusable_images_are_listed_together_and_refused(small_tree, opened):
    expected = spoil(small_tree / "Training/a")
    with pytest.raises(UserError) as error:
        opened(small_tree)
    message = str(error.value)
    assert "6 of 16 images" in message
    assert "--config.data.unreadable=skip" in message
    assert "\n" not in message
    for name, reason in expected.items():
        assert f"Training/a/{name} (" in message
        assert reason in message


def test_unusable_images_can_be_left_out_but_never_silently(small_tree, opened, monkeypatch):
    clean = opened(small_tree).fingerprint
    expected = spoil(small_tree / "Training/a")
    dataset = opened(small_tree, unreadable="skip")
    assert dataset.fingerprint == clean
    assert set(dataset.report["skipped"]) == {f"Training/a/{name}" for name in expected}
    forbid_inspection(monkeypatch)
    opened(small_tree, unreadable="skip")
    assert len([line for line in opened.lines if "left out 6 unusable files" in line]) == 2
    monkeypatch.undo()
    with pytest.raises(UserError, match="6 of 16"):
        opened(small_tree)


def test_what_was_left_out_is_tried_again_by_other_rules_and_with_other_readers(
    small_tree, opened, monkeypatch
):
    spoil(small_tree / "Training/a")
    opened(small_tree, unreadable="skip")
    forbid_inspection(monkeypatch)
    with pytest.raises(AssertionError, match="looked into again"):
        opened(small_tree, unreadable="skip", rules=PixelRules(slice_axis="coronal"))
    monkeypatch.setattr(sources, "find_spec", lambda name: None)
    with pytest.raises(AssertionError, match="looked into again"):
        opened(small_tree, unreadable="skip")


def test_a_class_that_loses_its_last_image_is_named(small_tree, opened):
    (small_tree / "Testing/b/000.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"no image of Testing/b in .* is usable"):
        opened(small_tree, unreadable="skip")


def test_files_that_are_too_large_are_not_read(small_tree, opened, monkeypatch):
    monkeypatch.setattr("fakd_jax.data.preparation.MAX_FILE_BYTES", 10)
    with pytest.raises(UserError, match=r"10 of 10 images .*larger than"):
        opened(small_tree)


@pytest.mark.parametrize(
    ("source", "keywords", "complaint"),
    [
        ("/nowhere", {}, "no data at /nowhere: give 'kaggle', 'phantom'"),
        (__file__, {}, "neither a zip nor a tar"),
        ("phantom", {"phantom": {"colour": 3}}, "config.data.phantom: .*colour"),
        ("/nowhere", {"unreadable": "ignore"}, "'ignore'; use 'error' or 'skip'"),
    ],
)
def test_impossible_sources_are_refused(opened, source, keywords, complaint):
    with pytest.raises(UserError, match=complaint):
        opened(source, **keywords)


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_what_may_not_be_read_is_reported(small_tree, tmp_path, opened, monkeypatch, kind):
    source = tmp_path / "data.tar"
    if kind == "archive":
        with tarfile.open(source, "w") as tar:
            tar.add(small_tree, arcname="data")
    refused = PermissionError(13, "Permission denied")

    def refuse(*args):
        raise refused

    if kind == "archive":
        monkeypatch.setattr("fakd_jax.runtime.archives.is_archive", refuse)
    else:  # a folder inside one that may not be entered
        monkeypatch.setattr(Path, "is_dir", refuse)
    with pytest.raises(UserError, match=r"cannot read .*/data\.tar: Permission denied; check"):
        opened(source)


def test_a_single_class_is_refused(make_tree, opened):
    with pytest.raises(UserError, match="only the class a/; at least 2"):
        opened(make_tree({"Training/a": 2, "Testing/a": 1}))


def test_a_damaged_note_of_what_was_prepared_is_made_again(small_tree, opened):
    first = opened(small_tree)
    (note,) = (opened.cache / "openings").iterdir()
    whole = note.read_bytes()
    for damage in (whole[: len(whole) // 2], b"\xff"):
        note.write_bytes(damage)
        assert opened(small_tree).report == first.report
        assert note.read_bytes() == whole


@pytest.mark.parametrize("content", [b'{"format": ', b"\xff", b"{}"])
def test_a_damaged_file_of_prepared_data_is_reported(tmp_path, content):
    (tmp_path / sources.PREPARED_FILE).write_bytes(content)
    with pytest.raises(UserError, match=r"damaged.*prepare it again"):
        open_dataset(tmp_path)


def test_names_that_are_not_utf8_are_told_and_can_be_left_out(small_tree, opened):
    clean = opened(small_tree).fingerprint
    for name in (b"\xe9.png", b"\xe9.txt"):
        path = os.path.join(os.fsencode(small_tree), b"Training/a", name)
        shutil.copy(small_tree / "Training/a/000.png", path)
    with pytest.raises(UserError, match=r"Training/a/\\xe9\.png \(its name is not UTF-8\)"):
        opened(small_tree)
    dataset = opened(small_tree, unreadable="skip")
    assert dataset.fingerprint == clean
    assert dataset.report["skipped"] == {"Training/a/\\xe9.png": "its name is not UTF-8"}
    assert dataset.report["strays"] == ["Training/a/\\xe9.txt"]
    "\n".join(opened.lines).encode()  # what is logged can be written


def fail_writing(monkeypatch, error):
    def fail(*args):
        raise error

    monkeypatch.setattr("fakd_jax.data.records.write_records", fail)


def test_a_disk_that_fills_up_is_reported(small_tree, opened, monkeypatch):
    # What TFDS raises on a full disk, in its own words.
    words = 'Failed to finalize writing of split "train": write() failed: No space left on device'
    fail_writing(monkeypatch, RuntimeError(words))
    with pytest.raises(UserError, match=r"records \(No space left on device\); make room"):
        opened(small_tree)


def test_a_cache_that_cannot_be_written_is_reported(small_tree, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write to .*file/cache.*FAKD_JAX_CACHE"):
        open_dataset(small_tree, cache_dir=tmp_path / "file" / "cache")


def test_the_cache_follows_the_environment(small_tree, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKD_JAX_CACHE", str(tmp_path / "mine"))
    assert open_dataset(small_tree).records.is_relative_to(tmp_path / "mine/data")
    monkeypatch.delenv("FAKD_JAX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    records = open_dataset(small_tree, cache_dir="").records
    assert records.is_relative_to(tmp_path / "xdg/fakd_jax/data")


def test_an_interrupted_preparation_leaves_nothing_and_is_done_again(
    small_tree, opened, monkeypatch
):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("fakd_jax.data.records.write_records", interrupt)
    with pytest.raises(KeyboardInterrupt):
        opened(small_tree)
    assert list((opened.cache / "records").iterdir()) == []
    monkeypatch.undo()
    assert len(opened(small_tree)) == 10


def test_what_a_killed_process_left_is_removed_after_a_day(small_tree, opened):
    left = opened.cache / "records" / ".unfinished-old"
    recent = opened.cache / "records" / ".unfinished-new"
    (left / "deep").mkdir(parents=True)
    recent.mkdir()
    os.utime(left, (0, 0))
    opened(small_tree)
    assert not left.exists()
    assert recent.exists()


def test_two_processes_at_once_are_no_trouble(small_tree, tmp_path):
    archive = tmp_path / "data.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(small_tree, arcname="data")
    program = (
        "import sys; from fakd_jax.data.sources import open_dataset;"
        "d = open_dataset(sys.argv[1], cache_dir=sys.argv[2]); print(d.read(3).sum())"
    )
    command = [sys.executable, "-c", program, str(archive), str(tmp_path / "cache")]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    assert len({out.splitlines()[-1] for out, _ in answers}) == 1
    assert [err for _, err in answers] == ["", ""]  # TFDS keeps quiet too
    assert all(line.startswith("data: ") for line in answers[0][0].splitlines()[:-1])


def test_nothing_is_asked_of_the_network(small_tree, opened, monkeypatch, capfd):
    def refuse(*args, **keywords):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    opened(small_tree).read(0)
    assert capfd.readouterr() == ("", "")


def test_kaggle_is_checked_against_the_paper(small_tree, opened, monkeypatch):
    monkeypatch.setattr(kagglehub, "dataset_download", lambda handle: str(small_tree))
    with pytest.raises(UserError, match="is not the paper's version"):
        opened("kaggle")
    counts = {"train": {"a": 3, "b": 4}, "test": {"a": 2, "b": 1}}
    monkeypatch.setattr(kaggle, "PAPER_COUNTS", counts)
    dataset = opened("kaggle")
    assert (dataset.name, dataset.version) == ("brain-tumor-mri-dataset", "1")
    assert dataset.source == "kaggle"


PHANTOMS = {"train_per_class": 2, "test_per_class": 1, "size": 32, "seed": 0}


def test_phantoms_are_drawn_once_with_their_masks(opened, monkeypatch):
    dataset = opened("phantom", phantom=PHANTOMS)
    assert dataset.class_names == ("glioma", "meningioma", "notumor", "pituitary")
    assert dataset.counts()["train"] == dict.fromkeys(dataset.class_names, 2)
    for index, example in enumerate(dataset.examples):
        (path,) = dataset.masks.of(example.id)
        mask = decode_rgb(path, "mask")
        assert mask.shape == dataset.read(index).shape
        assert mask.any() == (dataset.class_names[example.label] != "notumor")
    other = opened("phantom", phantom=PHANTOMS | {"seed": 1})
    assert other.fingerprint != dataset.fingerprint
    monkeypatch.setattr("fakd_jax.runtime.cache.written_whole", None)
    assert opened("phantom", phantom=PHANTOMS).fingerprint == dataset.fingerprint


def test_prepared_data_is_a_source_that_can_be_moved(opened, tmp_path):
    original = opened("phantom", phantom=PHANTOMS)
    original_image = original.read(0)
    save_prepared(original, opened.cache)
    moved = tmp_path / "moved"
    shutil.move(opened.cache, moved)
    dataset = open_dataset(moved, cache_dir=tmp_path / "unused")
    assert dataset.fingerprint == original.fingerprint
    assert (dataset.name, dataset.source) == ("phantom", "phantom")
    np.testing.assert_array_equal(dataset.read(0), original_image)
    assert dataset.masks.of(dataset.examples[0].id)[0].is_relative_to(moved)
    assert not (tmp_path / "unused").exists()
    with pytest.raises(UserError, match="already prepared"):
        save_prepared(dataset, tmp_path / "elsewhere")


def test_the_real_sample_is_opened(shared, opened):
    dataset = opened(shared / "data" / "sample.tar")
    assert dataset.counts() == {
        "train": dict.fromkeys(dataset.class_names, 40),
        "test": dict.fromkeys(dataset.class_names, 12),
    }
    assert dataset.report["strays"] == ["SHA256SUMS", "counts.json"]
    assert dataset.read(0).shape == (224, 224, 3)
