"""Pictures of the gallery: small, true in colour, found on disk."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakd_jax.data.phantom.dataset import phantom
from fakd_jax.errors import UserError
from fakd_jax.explanation.report.attribution import overlay
from fakd_jax.explanation.report.curve_figure import draw_curves, line_styles
from fakd_jax.explanation.report.gallery.pictures import (
    THUMBNAIL_SIDE,
    compact_png,
    stored_pictures,
    thumbnail,
)
from tests.explanation.report.gallery.example_gallery import cell, png


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as opened:
        return np.asarray(opened.convert("RGB")).astype(int)


def explained_head() -> np.ndarray:
    image = phantom(3, "glioma", 224).image
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    attribution = np.exp(-((x - 90.0) ** 2 + (y - 90) ** 2) / 900)
    return overlay(image, attribution - np.exp(-((x - 150.0) ** 2 + (y - 150) ** 2) / 900))


def test_thumbnails_are_small_in_pixels_and_bytes() -> None:
    made = thumbnail(png(explained_head()))
    assert max(pixels(made).shape) == THUMBNAIL_SIDE
    assert len(made) < 25_000


def test_small_pictures_are_not_enlarged() -> None:
    assert pixels(thumbnail(png(np.zeros((5, 9, 3), np.uint8)))).shape == (5, 9, 3)


def test_fewer_colours_tint_nothing_that_was_grey() -> None:
    picture = explained_head()
    after = pixels(compact_png(picture))
    assert np.abs(after - picture).mean() < 4
    grey = np.ptp(picture, axis=-1) == 0
    assert grey.sum() > 1_000
    assert np.ptp(after[grey], axis=-1).max() <= 8


def test_pictures_are_found_where_they_are_stored(tmp_path: Path) -> None:
    ids = ["a/x.png", "a_x.jpg"]
    contents = {}
    for name in ("a_x-" + suffix for suffix in digests(ids)):
        for file in ("image", "lime"):
            contents[name, file] = f"{name} {file}".encode()
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"{file}.png").write_bytes(contents[name, file])
    read = stored_pictures(tmp_path, ids)
    first, second = ("a_x-" + suffix for suffix in digests(ids))
    assert read("a/x.png", None) == contents[first, "image"]
    assert read("a_x.jpg", "lime") == contents[second, "lime"]
    with pytest.raises(UserError, match=r"rise\.png.*make the benchmark again"):
        read("a/x.png", "rise")


def digests(ids: list[str]) -> list[str]:
    import hashlib

    return [hashlib.sha256(id.encode()).hexdigest()[:8] for id in ids]


def test_curves_have_a_line_a_method_and_controls_are_grey() -> None:
    cells = {name: cell("a", name) for name in ("lime", "centre")}
    flat = {"fraction": [0.0, 1.0], "deletion": [0.8, 0.8], "insertion": [0.8, 0.8]}
    cells["lime"]["curves"] = flat
    drawn = draw_curves(cells, ["centre"])
    assert drawn == draw_curves(cells, ["centre"])
    assert len(drawn) < 25_000
    picture = pixels(drawn)
    assert picture.shape[1] == 600

    # What is coloured is the method's line: level in the upper half, across both panels.
    rows, columns = np.nonzero(np.ptp(picture, axis=-1) > 60)
    panels = columns < 440  # the legend is right of them
    assert rows[panels].max() < picture.shape[0] / 2
    assert np.unique(columns[panels]).size > 300
    assert np.ptp(pixels(draw_curves(cells, ["lime", "centre"])), axis=-1).max() <= 24


def test_no_two_lines_are_alike() -> None:
    names = [f"method {number}" for number in range(32)]
    styles = line_styles(names, controls=names[28:])
    assert len(set(styles.values())) == 32
    greys = {styles[name][0] for name in names[28:]}
    assert len(greys) == 1
    assert not greys & {styles[name][0] for name in names[:28]}
