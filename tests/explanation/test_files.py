"""Encodings and folder names of explanations."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from fakd_jax.explanation.files import folder_names, json_bytes, label_map_bytes


def test_folder_names_are_safe_unique_and_independent_of_order() -> None:
    ids = ["a/x.png", "a_x.jpg", "A/x.png", "../b.png", "...", "c/é ü.png", "d" * 400 + ".png"]
    names = folder_names(ids)
    assert names == folder_names(ids[::-1])[::-1]
    assert len({name.casefold() for name in names}) == len(ids)
    assert all("/" not in name and not name.startswith(".") for name in names)
    assert all(len(name.encode()) < 200 for name in names)
    assert folder_names(["Testing/glioma/Te-gl_0010.jpg"]) == ["Testing_glioma_Te-gl_0010"]
    for name in (
        "index.html",
        "index-2.html",
        "Settings.JSON",
        "explanations.jsonl",
    ):  # files beside the folders
        assert folder_names([f"{name}.png"])[0].startswith(f"{name}-")


def test_label_map_keeps_more_than_256_superpixels() -> None:
    segments = np.arange(900, dtype=np.int32).reshape(30, 30)
    with Image.open(io.BytesIO(label_map_bytes(segments))) as image:
        np.testing.assert_array_equal(np.asarray(image), segments + 1)


def test_json_refuses_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_bytes({"weight": float("nan")})
