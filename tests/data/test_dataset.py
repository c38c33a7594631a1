from __future__ import annotations

import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fakd_jax.data.dataset import ImageDataset, content_of, fingerprint_of
from fakd_jax.data.sources import open_dataset
from fakd_jax.errors import UserError


@pytest.fixture
def dataset(small_tree: Path, tmp_path: Path) -> ImageDataset:
    return open_dataset(small_tree, cache_dir=tmp_path / "cache", log=lambda line: None)


def test_examples_are_sorted_by_id_and_know_label_and_split(dataset):
    assert len(dataset) == 10
    assert dataset.class_names == ("a", "b")
    first, last = (vars(dataset.examples[index]) for index in (0, -1))
    assert first | {"content": ""} == {
        "id": "Testing/a/000.png",
        "label": 0,
        "split": "test",
        "content": "",
    }
    assert (last["id"], last["label"], last["split"]) == ("Training/b/003.png", 1, "train")
    assert [dataset.index_of(example.id) for example in dataset.examples] == list(range(10))
    assert dataset.ids("test") == ("Testing/a/000.png", "Testing/a/001.png", "Testing/b/000.png")
    assert dataset.ids("val") == ()
    assert dataset.counts() == {"train": {"a": 3, "b": 4}, "test": {"a": 2, "b": 1}}
    with pytest.raises(KeyError):
        dataset.index_of("Testing/a/999.png")


def test_every_image_is_read_as_it_was_written(dataset, small_tree):
    for index, example in enumerate(dataset.examples):
        image = dataset.read(index)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, np.asarray(Image.open(small_tree / example.id)))


def test_it_can_be_pickled_and_read_from_many_threads(dataset):
    again = pickle.loads(pickle.dumps(dataset))
    assert again.examples == dataset.examples
    indices = list(range(len(dataset))) * 20
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(again.read, indices))
    for index, image in zip(indices, images, strict=True):
        np.testing.assert_array_equal(image, dataset.read(index))


def test_an_image_is_known_by_its_pixels_whatever_its_name_and_format(make_tree, tmp_path):
    tree = make_tree({"Training/a": 3, "Training/b": 1, "Testing/a": 1, "Testing/b": 1})
    first, second, third = sorted((tree / "Training" / "a").iterdir())
    with Image.open(first) as image:
        image.save(tree / "Testing" / "b" / "renamed.bmp")
        image.transpose(Image.Transpose.ROTATE_90).save(second)
        image.putpixel((3, 4), (1, 2, 3))
        image.save(third)
    dataset = open_dataset(tree, cache_dir=tmp_path / "cache", log=lambda line: None)
    contents = {example.id: example.content for example in dataset.examples}
    assert len(dataset.report["reencoded"]) == 1
    assert contents["Testing/b/renamed.bmp"] == contents["Training/a/000.png"]
    assert len(set(contents.values())) == len(contents) - 1
    for index, example in enumerate(dataset.examples):
        assert example.content == content_of(dataset.read(index))
    flat = np.zeros((12, 10, 3), np.uint8)
    assert content_of(flat) != content_of(flat.reshape(10, 12, 3))  # the shape counts


def test_masks_lie_beside_the_images(dataset, small_tree):
    assert dataset.masks.of(dataset.examples[0].id) == ()
    mask = small_tree / "masks" / "Testing" / "a" / "000.png"
    mask.parent.mkdir(parents=True)
    mask.write_bytes(b"mask")
    assert dataset.masks.of(dataset.examples[0].id) == (mask,)
    assert dataset.masks.of(dataset.examples[1].id) == ()


def test_a_mask_that_several_images_would_have_is_nobodys(small_tree, tmp_path):
    tree = small_tree
    image = tree / "Testing" / "a" / "000.png"
    with Image.open(image) as picture:
        picture.transpose(Image.Transpose.ROTATE_180).save(image.with_suffix(".bmp"))
    mask = tree / "masks" / "Testing" / "a" / "000.png"
    mask.parent.mkdir(parents=True)
    shutil.copy(image, mask)
    dataset = open_dataset(tree, cache_dir=tmp_path / "cache", log=lambda line: None)
    for name in ("Testing/a/000.png", "Testing/a/000.bmp"):
        assert dataset.examples[dataset.index_of(name)].id == name
        assert dataset.masks.of(name) == ()


def test_records_out_of_order_are_noticed(dataset):
    dataset._positions[0], dataset._positions[1] = 1, 0
    with pytest.raises(RuntimeError, match=r"record of Testing/a/000\.png is that of"):
        dataset.read(0)


@pytest.mark.parametrize("harm", ["shorten", "delete", "description"])
def test_a_damaged_cache_is_reported(dataset, small_tree, tmp_path, harm):
    (records,) = dataset.records.rglob("*train*")
    if harm == "shorten":
        records.write_bytes(records.read_bytes()[:-1])
    elif harm == "delete":
        records.unlink()
    else:
        (dataset.records / "dataset.json").unlink()
    with pytest.raises(UserError, match=r"is damaged .* delete that folder and run again"):
        open_dataset(small_tree, cache_dir=tmp_path / "cache")


ROWS = st.lists(
    st.tuples(st.text(max_size=5), st.text(max_size=3), st.text(max_size=3)), max_size=5
)


@given(ROWS, ROWS)
def test_fingerprints_are_equal_exactly_when_the_contents_are(first, second):
    assert fingerprint_of(first) == fingerprint_of(reversed(first))
    assert (fingerprint_of(first) == fingerprint_of(second)) == (sorted(first) == sorted(second))
