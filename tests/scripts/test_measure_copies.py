"""The measurement of the search for copies: its alterations, counts, table and refusals."""

from __future__ import annotations

import importlib
import io
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from fakd_jax.cli.runner import run_command
from fakd_jax.data.phantom.dataset import phantom, write_phantoms
from fakd_jax.data.pixels.raster import decode_rgb
from fakd_jax.data.sources import open_dataset
from fakd_jax.errors import UserError
from fakd_jax.metrics.resampling import wilson_interval

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(autouse=True)
def _scripts_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))


@pytest.fixture
def script(load_script, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load_script("measure_copies")
    monkeypatch.setattr(module, "use_compilation_cache", lambda: None)
    return module


@pytest.fixture
def alterations() -> ModuleType:
    return importlib.import_module("copies.alterations")


@pytest.fixture
def measuring() -> ModuleType:
    return importlib.import_module("copies.measuring")


def changed(change, pixels: np.ndarray) -> np.ndarray:
    image = Image.fromarray(np.repeat(pixels.astype(np.uint8)[..., None], 3, axis=-1))
    return np.asarray(change(image, np.random.default_rng(0)))[..., 0]


RAMP = np.arange(36).reshape(6, 6) * 7


def test_levels_are_changed_as_named(alterations):
    np.testing.assert_array_equal(changed(alterations.brightened(0.5), RAMP), RAMP // 2)
    np.testing.assert_array_equal(
        changed(alterations.brightened(2), RAMP), np.minimum(RAMP * 2, 255)
    )
    np.testing.assert_allclose(
        changed(alterations.gamma(0.8), RAMP), 255 * (RAMP / 255) ** 0.8, atol=0.5
    )
    mean = 122  # PIL rounds it
    stretched = np.clip(mean + 1.5 * (RAMP - mean), 0, 255)
    np.testing.assert_allclose(changed(alterations.contrasted(1.5), RAMP), stretched, atol=2)
    blocks = np.kron([[50, 50], [50, 60]], np.ones((32, 32)))
    spread = np.kron([[0, 0], [0, 255]], np.ones((32, 32)))
    np.testing.assert_array_equal(changed(alterations.equalised, blocks), spread)


def test_noise_has_its_strength_and_no_bias(alterations):
    noise = changed(alterations.noisy(10), np.full((200, 200), 128)).astype(float) - 128
    assert abs(noise.mean()) < 0.3  # the mean's standard deviation is 0.05
    assert noise.std() == pytest.approx(10, rel=0.02)


def test_sharpening_raises_contrast_at_an_edge_only(alterations):
    step = np.tile([60] * 8 + [160] * 8, (16, 1))
    sharper = changed(alterations.sharpened(3), step)
    assert sharper[8, 7] < 60
    assert sharper[8, 8] > 160
    assert (sharper[1:-1, :6] == 60).all()


def test_positions_are_changed_as_named(alterations):
    shifted = changed(alterations.shifted(2), RAMP)
    np.testing.assert_array_equal(shifted[2:, 2:], RAMP[:-2, :-2])
    assert not shifted[:2].any()
    assert not shifted[:, :2].any()
    methods = Image.Transpose
    for method, expected in (
        (methods.FLIP_LEFT_RIGHT, RAMP[:, ::-1]),
        (methods.FLIP_TOP_BOTTOM, RAMP[::-1]),
        (methods.ROTATE_180, RAMP[::-1, ::-1]),
    ):
        np.testing.assert_array_equal(changed(alterations.transposed(method), RAMP), expected)
    both = alterations.in_turn(alterations.shifted(1), alterations.brightened(0.5))
    np.testing.assert_array_equal(changed(both, RAMP)[1:, 1:], RAMP[:-1, :-1] // 2)


@pytest.mark.parametrize(("factor", "side"), [(0.5, 20), (0.75, 30), (1.25, 50)])
def test_zooming_scales_about_the_centre(alterations, factor, side):
    square = np.zeros((80, 80))
    square[20:60, 20:60] = 200
    bright = changed(alterations.zoomed(factor), square) > 100
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    assert abs(len(rows) - side) <= 1
    assert rows[0] + rows[-1] == 79
    assert columns[0] + columns[-1] == 79


def test_copies_are_jpeg_files_of_their_quality(alterations):
    image = Image.fromarray(phantom(0, "glioma", 96).image)
    rng = np.random.default_rng(0)
    files = {
        kind.name: kind.copy_of(image, rng)
        for kind in alterations.KINDS
        if kind.change is alterations.unchanged
    }
    assert len(files["JPEG quality 40"]) < len(files["JPEG quality 60"])
    assert all(Image.open(io.BytesIO(file)).format == "JPEG" for file in files.values())
    names = [kind.name for kind in alterations.KINDS]
    assert len(set(names)) == len(names)


def test_counts_by_hand(alterations, measuring):
    kind = alterations.KINDS[0]
    # originals 0 1 2 3, copies of them 4 5 6 7
    found = measuring.count_found(kind, np.array([0, 1, 2, 2, 0, 0, 2, 3]))
    # groups {0 4 5}: one hit, pairs (0, 5) and (4, 5) wrong;
    # {2 3 6}: one hit, (3, 6) wrong and the originals (2, 3)
    assert found.hits == 2
    assert found.wrong == 3
    assert found.wrong_originals == {(2, 3)}
    perfect = measuring.count_found(kind, np.array([0, 1, 2, 0, 1, 2]))
    assert (perfect.hits, perfect.wrong, perfect.wrong_originals) == (3, 0, frozenset())


def test_the_summary_counts_pairs_of_originals_once(alterations, measuring):
    kind = alterations.KINDS[0]
    found = [
        measuring.Found(kind, hits=3, wrong=1, wrong_originals=frozenset({(0, 1)})),
        measuring.Found(kind, hits=4, wrong=0, wrong_originals=frozenset({(0, 1), (2, 3)})),
    ]
    summary = measuring.summarise(found, n=4)
    first, second = summary["kinds"]
    assert first["share"] == 0.75
    assert first["ci95"] == list(wilson_interval(3, 4))
    assert second["share"] == 1
    assert first["different"] == 4 * 3 + 6  # original with another's copy; copy with copy
    precision = summary["precision"]
    assert (precision["count"], precision["n"]) == (7, 10)
    assert (precision["wrong"], precision["wrong_originals"]) == (3, 2)
    assert precision["different"] == 2 * 18 + 6


def test_one_image_of_a_group_is_drawn(measuring, tmp_path):
    write_phantoms(tmp_path / "data", train_per_class=2, test_per_class=1, size=32)
    dataset = open_dataset(tmp_path / "data", cache_dir=tmp_path / "cache", log=lambda line: None)
    groups = {example.id: index // 3 for index, example in enumerate(dataset.examples)}
    times = set()
    for seed in range(20):
        drawn = measuring.draw_different(dataset, groups, 3, seed)
        numbers = [groups[example.id] for example in drawn.examples]
        assert len(set(numbers)) == 3
        times.update(example.id for example in drawn.examples)
        for example, encoded in zip(drawn.examples, drawn.encoded, strict=True):
            assert encoded == dataset.read_encoded(dataset.index_of(example.id))
    assert len(times) == 12  # any member of any group may be drawn
    again = measuring.draw_different(dataset, groups, 3, 0)
    assert again == measuring.draw_different(dataset, groups, 3, 0)
    with pytest.raises(UserError, match=r"has 4 images without duplicates.*at most 4"):
        measuring.draw_different(dataset, groups, 5, 0)


def test_a_copy_is_the_altered_image(alterations, measuring, tmp_path):
    write_phantoms(tmp_path / "data", train_per_class=1, test_per_class=1, size=64)
    dataset = open_dataset(tmp_path / "data", cache_dir=tmp_path / "cache", log=lambda line: None)
    groups = {example.id: index for index, example in enumerate(dataset.examples)}
    originals = measuring.draw_different(dataset, groups, 3, 0)
    mirrored = next(kind for kind in alterations.KINDS if kind.name == "mirrored")
    copies = measuring.copies_of(originals, mirrored, seed=0)
    assert len(copies) == 3
    for original, copy in zip(originals.encoded, copies.encoded, strict=True):
        expected = decode_rgb(original, "x")[:, ::-1].astype(int)
        assert np.abs(decode_rgb(copy, "x") - expected).mean() < 6  # JPEG's loss on noise
    noisy = next(kind for kind in alterations.KINDS if "noise" in kind.name)
    assert measuring.copies_of(originals, noisy, 0) == measuring.copies_of(originals, noisy, 0)
    assert measuring.copies_of(originals, noisy, 0) != measuring.copies_of(originals, noisy, 1)


def test_copies_are_found_and_reported(script, alterations, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FAKD_JAX_CACHE", str(tmp_path / "cache"))
    write_phantoms(tmp_path / "data", train_per_class=2, test_per_class=1, size=96)
    kinds = [kind for kind in alterations.KINDS if kind.name in ("JPEG quality 60", "mirrored")]
    monkeypatch.setattr(script, "KINDS", kinds)
    flags = ["--data", str(tmp_path / "data"), "--images", "6", "--output", str(tmp_path / "out")]
    script.main(flags)
    printed = capsys.readouterr().out
    assert "| JPEG quality 60 | yes | 6 of 6 | 100.0% | 61.0% to 100.0% | 0 |" in printed
    assert "| mirrored | no | 6 of 6 | 100.0% | 61.0% to 100.0% | 0 |" in printed
    assert "Different pairs taken for duplicates: 0 of 105 compared" in printed  # 2 · 45 + 15
    assert "Precision: 12 of 12" in printed
    assert "were chosen by the same search" in printed
    record = json.loads((tmp_path / "out" / "copies.json").read_text())
    assert [row["count"] for row in record["kinds"]] == [6, 6]
    assert record["precision"]["wrong"] == 0
    script.main([*flags[:2], "--images", "4", "--among", "4", "--search", "approximate"])
    printed = capsys.readouterr().out
    assert "approximate search among 4 more images" in printed
    assert "| mirrored | no | 4 of 4 |" in printed


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ([], "--data"),
        (["--data", "no-such-place"], "no data at no-such-place"),
        (["--data", "phantom", "--images", "1"], "--images"),
        (["--data", "phantom", "--images", "many"], "--images"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    script, flags, complaint, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("FAKD_JAX_CACHE", str(tmp_path))
    with pytest.raises(SystemExit) as stopped:
        run_command(script.main, flags)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert complaint in error
