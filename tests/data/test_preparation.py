from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.pixels.window import FULL_RANGE, PixelRules, Window
from fakd_jax.data.sources import open_dataset, save_prepared
from fakd_jax.errors import UserError
from tests.data.deep_images import write_deep_images


class Opener:
    """Opens sources with one cache and remembers what was logged."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.lines: list[str] = []

    def __call__(self, source: Path, **keywords: Any) -> ImageDataset:
        self.lines.clear()
        return open_dataset(source, cache_dir=self.cache, log=self.lines.append, **keywords)


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    return Opener(tmp_path / "cache")


def stored(folder: Path, id: str) -> np.ndarray:
    with Image.open(folder / id) as image:
        return np.asarray(image).astype(float)


def test_one_window_holds_for_all_images(tmp_path: Path, opened: Opener) -> None:
    folder = write_deep_images(tmp_path / "data", high=3_000)
    dark = folder / "Training/glioma/0.png"
    Image.fromarray(np.full((36, 40), 200, np.uint16)).save(dark)
    dataset = opened(folder)
    assert dataset.pixels == PixelRules(Window("levels", 0, 4_095))
    for index, example in enumerate(dataset.examples):
        expected = np.rint(stored(folder, example.id) * 255 / 4_095)
        np.testing.assert_array_equal(dataset.read(index)[..., 0], expected)
    said = "24 images have grey levels of more than 8 bits, 0 to 3000: grey levels 0 to 4095"
    assert any(said in line for line in opened.lines)
    for rules in (PixelRules(), dataset.pixels):  # from the cache
        assert opened(folder, rules=rules).records == dataset.records
        assert len(opened.lines) == 1
        assert said in opened.lines[0]


def test_the_full_range_keeps_the_fingerprint_and_other_windows_have_their_own(
    tmp_path: Path, opened: Opener
) -> None:
    folder = write_deep_images(tmp_path / "data", high=65_535)
    whole = opened(folder)
    assert whole.pixels.window == FULL_RANGE
    given = opened(folder, rules=PixelRules(Window("levels", 0, 1_000)))
    percentiles = opened(folder, rules=PixelRules(Window("percentiles", 1, 99)))
    assert len({each.fingerprint for each in (whole, given, percentiles)}) == 3
    assert len({each.records for each in (whole, given, percentiles)}) == 3
    index = given.index_of("Testing/glioma/0.png")
    levels = stored(folder, "Testing/glioma/0.png")
    expected = np.rint(np.minimum(levels, 1_000) * 255 / 1_000)
    np.testing.assert_array_equal(given.read(index)[..., 0], expected)
    low, high = np.percentile(levels, [1, 99])
    expected = np.rint((np.clip(levels, low, high) - low) * 255 / (high - low))
    np.testing.assert_array_equal(percentiles.read(index)[..., 0], expected)


def test_a_kept_window_names_the_images_beyond_it(tmp_path: Path, opened: Opener) -> None:
    folder = write_deep_images(tmp_path / "data", high=1_000)
    Image.fromarray(np.full((36, 40), 5_000, np.uint16)).save(folder / "Testing/notumor/1.png")
    dataset = opened(folder, rules=PixelRules(Window("levels", 0, 4_095)))
    assert dataset.read(dataset.index_of("Testing/notumor/1.png")).min() == 255
    assert "1 images have grey levels beyond that window" in opened.lines[-1]
    assert opened.lines[-1].endswith(": Testing/notumor/1.png")


def test_rules_change_nothing_of_pictures_of_8_bits(small_tree: Path, opened: Opener) -> None:
    plain = opened(small_tree)
    assert not {"pixels", "deep"} & plain.report.keys()
    rules = PixelRules(Window("levels", 0, 100, own_first=False), "coronal")
    other = opened(small_tree, rules=rules)
    assert not opened.lines
    assert (other.fingerprint, other.records) == (plain.fingerprint, plain.records)
    assert other.pixels == PixelRules()


def test_every_image_of_a_file_is_an_example(tmp_path: Path, opened: Opener) -> None:
    rng = np.random.default_rng(1)
    stacks = {}
    for split in ("Training", "Testing"):
        for name in ("glioma", "notumor"):
            stacks[f"{split}/{name}/a.tif"] = rng.integers(0, 256, (12, 12, 10), dtype=np.uint8)
    for id, stack in stacks.items():
        (tmp_path / "data" / id).parent.mkdir(parents=True)
        tifffile.imwrite(tmp_path / "data" / id, stack, photometric="minisblack")
    Image.fromarray(rng.integers(0, 256, (12, 10), dtype=np.uint8)).save(
        tmp_path / "data/Training/glioma/b.png"
    )
    dataset = opened(tmp_path / "data")
    assert any("the 5 files hold 49 images" in line for line in opened.lines)
    assert dataset.counts()["train"] == {"glioma": 13, "notumor": 12}
    assert "Training/glioma/b.png" in dataset.ids("train")
    for id, stack in stacks.items():
        for number in range(12):
            image = dataset.read(dataset.index_of(f"{id}#{number}"))
            np.testing.assert_array_equal(image[..., 2], stack[number])


def test_prepared_data_keeps_its_rules(tmp_path: Path, opened: Opener) -> None:
    folder = write_deep_images(tmp_path / "data")
    original = opened(folder)
    save_prepared(original, opened.cache)
    again = open_dataset(opened.cache, rules=original.pixels, log=opened.lines.append)
    assert again.pixels == original.pixels
    assert open_dataset(opened.cache, log=opened.lines.append).pixels == original.pixels
    with pytest.raises(UserError, match=r"other rules of pixels .*prepare it again"):
        open_dataset(opened.cache, rules=PixelRules(FULL_RANGE), log=opened.lines.append)


def test_animations_are_listed_among_the_unusable(small_tree: Path, opened: Opener) -> None:
    steps = [Image.new("L", (9, 9), level) for level in (0, 99)]
    steps[0].save(small_tree / "Training/a/b.gif", save_all=True, append_images=steps[1:])
    with pytest.raises(UserError, match=r"Training/a/b\.gif \(an animation of 2 frames"):
        opened(small_tree)
    assert len(opened(small_tree, unreadable="skip")) == 10
