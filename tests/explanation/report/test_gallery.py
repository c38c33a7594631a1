"""The gallery shows everything, marks what is doubtful, and fetches nothing."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from fakd_jax.data.phantom.dataset import phantom
from fakd_jax.explanation.report import gallery as gallery_module
from fakd_jax.explanation.report.attribution import overlay
from fakd_jax.explanation.report.gallery import CASES_OPEN, remarks, write_gallery
from fakd_jax.explanation.report.thumbnails import (
    THUMBNAIL_SIDE,
    compact_png,
    thumbnail,
    thumbnail_of,
)
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.runtime.hashing import sha256
from tests.explanation.report.example_gallery import DOWN, METHODS, image, report, verdict

HOSTILE = 'a/<script>alert(1)</script>&".png'


@pytest.fixture(autouse=True)
def _blank_curves(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves take a third of a second to draw; only the test of sizes looks at them."""
    if "drawn_curves" not in request.fixturenames:
        blank = np.full((2, 2, 3), 255, np.uint8)
        monkeypatch.setattr(gallery_module, "draw_curves", lambda cells, controls: blank)


@pytest.fixture
def drawn_curves() -> None:
    """Asks for the curves themselves."""


def render(*images: Sequence[dict[str, Any]], **changes: Any) -> str:
    """The only page of a gallery."""
    (page,) = render_all(*images, **changes).values()
    return page


def render_all(*images: Sequence[dict[str, Any]], **changes: Any) -> dict[str, str]:
    """All pages by file name, from a gallery on disk, whose links are checked."""
    cells = [cell for cells in images for cell in cells]
    folders = {cell["id"]: f"of {sha256(cell['id'])[:8]}%" for cell in cells}
    with TemporaryDirectory() as name:
        output = Path(name)
        for folder in folders.values():
            for method in ("image", *METHODS):
                write_whole(output / "cells" / folder / f"{method}.png", b"")
                write_whole(output / "cells" / folder / "thumbnails" / f"{method}.png", b"")
        write_whole(output / "benchmark.png", b"")
        write_gallery(report(**changes), cells, output, folders)
        pages = {path.name: path.read_text() for path in sorted(output.glob("*.html"))}
        for page in pages.values():
            assert all((output / link).is_file() for link in links(page))
    return pages


def links(page: str) -> list[str]:
    """The files that a page shows or leads to."""
    found = [unquote(unescape(link)) for link in re.findall('(?:src|href)="([^"]*)"', page)]
    return [link for link in found if not link.startswith(("#", "data:"))]


def words(page: str) -> str:
    """The text of a page, separated by single spaces."""
    return " ".join(unescape(re.sub("<[^>]*>", " ", page[page.index("<body>") :])).split())


def captions(page: str, method: str) -> list[str]:
    """The captions of the pictures of a method."""
    found = re.findall("<figcaption>(.*?)</figcaption>", page, flags=re.DOTALL)
    texts = [" ".join(unescape(re.sub("<[^>]*>", " ", text)).split()) for text in found]
    return [text for text in texts if text.startswith(method)]


def test_every_image_has_the_picture_of_every_method_worst_first() -> None:
    page = render(image("a"), image("b", prediction="notumor"), image("c", DOWN))
    shown = [link for link in links(page) if "/thumbnails/" in link]
    assert [Path(link).stem for link in shown] == ["image", *METHODS] * 3
    assert len(set(shown)) == len(shown)
    assert {link.replace("/thumbnails", "") for link in shown} <= set(links(page))
    text = words(page)
    assert "Wrong predictions (1) 1. glioma, predicted as notumor (62.5 %) b " in text
    assert "Correct predictions (2) 2. glioma, correctly predicted (62.5 %) c " in text
    assert "3. glioma, correctly predicted (62.5 %) a " in text
    assert "True class unknown" not in text


def test_many_images_are_shown_in_pages_without_losing_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gallery_module, "PER_PAGE", 2)
    pages = render_all(
        *(image(id, prediction="notumor" if id > "c" else "glioma") for id in "abcde")
    )
    assert list(pages) == ["gallery-2.html", "gallery-3.html", "gallery.html"]
    ids = {name: re.findall(r"<p><code>(\w)</code></p>", page) for name, page in pages.items()}
    assert ids == {
        "gallery.html": ["d", "e"],
        "gallery-2.html": ["a", "b"],
        "gallery-3.html": ["c"],
    }
    first, second, third = (pages[f"gallery{end}.html"] for end in ("", "-2", "-3"))
    assert "All images together" in words(first)
    for page in (second, third):
        assert "All images together" not in words(page)
        assert "Correct predictions (3)" in words(page)
    assert {"gallery.html", "gallery-3.html"} <= set(links(second))
    assert "page 3 of 3" in words(third)


def test_the_lead_counts_predictions() -> None:
    text = words(render(image("a"), image("b", prediction="notumor"), image("c", true_class=None)))
    assert (
        "(config fakd, student/best/7) on 3 images of phantom, test split, by 3 methods including "
        "1 control. Wrong predictions: 1, true class unknown: 1, correct predictions: 1. Research "
        "software, not for diagnosis." in text
    )
    assert "predicted glioma (62.5 %), true class unknown c " in text
    assert "not known to be trained" not in text


def test_untrained_heads_are_warned_of_and_files_need_no_data() -> None:
    untrained = report()["checkpoint"] | {"head": "random", "config": None}
    text = words(render(image("a"), checkpoint=untrained, data=None))
    assert "not known to be trained" in text
    assert "(config unknown, student/best/7) on 1 image, by" in text
    assert "fingerprint" not in text


def test_unstable_and_degenerate_explanations_are_marked() -> None:
    page = render(image("a", jaccard=0.79), image("b", jaccard=0.8), image("c", jaccard=None))
    unstable, stable, unmeasured = captions(page, "lime")
    assert "UNSTABLE (Jaccard 0.79)" in unstable
    assert "stable (Jaccard 0.80)" in stable
    assert "stability not measured" in unmeasured
    page = render(image("a", [0.0, 0.0, 0.0, 1e-9]))
    (degenerate,) = captions(page, "grad-cam")
    assert "NO EXPLANATION" in degenerate
    assert "agreement" not in degenerate
    assert "No two methods can be compared." in words(page)


def test_deterministic_methods_are_called_so_and_all_name_their_score() -> None:
    page = render(image("a", jaccard=None, intervals=None))
    (lime,), (cam,), (control,) = (captions(page, method) for method in METHODS)
    assert lime.startswith("lime of the probability deterministic")
    assert cam.startswith("grad-cam of the logit deterministic")
    assert control.startswith("centre (control) deterministic")


def test_coarse_maps_and_incomplete_sums_are_marked() -> None:
    fine = {"feature_map": {"layer": "l", "height": 7, "width": 9}}
    coarse = {"feature_map": {"layer": "l", "height": 2, "width": 2}}
    assert remarks(image("a", **fine)[0]) == [("map of 7 × 9 (l)", False)]
    assert remarks(image("a", **coarse)[0]) == [("COARSE: map of 2 × 2 (l)", True)]
    for attributed, alarm in ((1.04, False), (1.06, True)):
        sums = {"completeness": {"attributed": attributed, "difference": 1.0}}
        ((text, found),) = remarks(image("a", **sums)[0])
        assert found == alarm
        assert f"{100 * attributed - 100:.1f}" in text
    assert "<strong>COARSE" in render(image("a", **coarse))


def test_captions_have_gap_fit_agreement_and_background() -> None:
    page = render(image("a", DOWN, gap=-0.125, local_fidelity=0.75, background=0.347))
    assert captions(page, "lime") == [
        "lime of the probability stable (Jaccard 0.90) gap −0.12, R² 0.75 "
        "agreement with others −1.00 35 % outside the head"
    ]
    (control,) = captions(page, "centre (control)")
    assert "agreement" not in control
    page = render(image("a", local_fidelity=None, gap=None, background=None))
    assert captions(page, "lime") == [
        "lime of the probability stable (Jaccard 0.90) agreement with others +1.00"
    ]


def test_the_pairs_that_agree_most_and_least_are_named() -> None:
    cells = image("a", DOWN)
    cells[2] |= {"weights": [0.1, 0.2, 0.4, 0.3]}
    page = render(cells, controls=[])
    # Ranks 1234 and 1243 correlate by 0.8, 4321 and 1243 by -0.8: the mean is (-1 + 0.8 - 0.8) / 3.
    assert (
        "is −0.33; lime and centre agree most (+0.80), lime and grad-cam least (−1.00)."
        in words(page)
    )


def test_probabilities_mark_the_true_and_the_predicted_class() -> None:
    text = words(render(image("a"), image("b", prediction="notumor")))
    assert "class probability glioma (true, predicted) 62.5 % notumor 37.5 %" in text
    assert "class probability glioma (true) 62.5 % notumor (predicted) 37.5 %" in text


def test_lesions_are_mentioned_only_where_one_is_known() -> None:
    known = {"pointing": 1.0, "dice": 0.5, "mass_in_mask": 0.347}
    page = render(image("a", **known), image("b"), localised=True)
    first, second = captions(page, "lime")
    assert "lesion: pointing 1.00, Dice 0.50, contains 35 %" in first
    assert "lesion" not in second
    assert "outlined in white" in words(page).lower()
    for word in ("lesion", "pointing", "dice", "outlined"):
        assert word not in words(render(image("a"), image("b"))).lower()


def test_means_verdicts_and_sanity_are_tabulated() -> None:
    text = words(render(image("a")))
    assert (
        "method top overlap ↑ insertion − deletion ↑ local fidelity ↑ dependence on "
        "weights ↑ evidence outside head ↓ lime 0.50 [0.25, 0.75]" in text
    )
    assert "centre (control) 0.50 [0.25, 0.75]" in text
    assert "a note on the statistics" in text
    assert "lime better than centre grad-cam worse than centre" in text
    assert "lime centre insertion − deletion +0.25 [+0.15, +0.35] 3 grad-cam centre" in text
    assert "lime 0.70 [0.60, 0.80] yes 3 grad-cam 0.00 NO: much the same" in text


def test_what_was_not_measured_is_left_out() -> None:
    unmeasured = [{"method": "lime", "dependence": None, "ci95": None, "n": 0, "passes": None}]
    undecided = [verdict("lime", "gap", "indistinguishable"), verdict("grad-cam", "gap", None)]
    text = words(render(image("a"), verdicts=undecided, sanity=unmeasured))
    assert "lime indistinguishable from centre The differences" in text
    assert "has learnt?" not in text
    assert "Comparison with the controls" not in words(render(image("a"), verdicts=[]))


def test_the_benchmark_figure_is_shown() -> None:
    assert "benchmark.png" in links(render(image("a")))


def test_later_cases_are_folded() -> None:
    page = render(*(image(f"{number:02}") for number in range(CASES_OPEN + 2)))
    folded = re.findall("<summary>(.*?)</summary>", page)
    assert [summary.split(".")[0] for summary in folded[1:]] == ["13", "14"]
    assert page.count("<h3>1") == 4  # cases 1, 10, 11, 12


def test_ids_and_names_cannot_become_markup_and_nothing_is_fetched() -> None:
    page = render(image(HOSTILE, prediction="<img src=x>", explained_class="<b>"))
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "<b>" not in page
    assert HOSTILE in words(page)
    assert not re.search("https?:", page)
    assert page.count("base64") == 1  # the colour bar


def test_the_page_does_not_depend_on_the_order_of_the_images() -> None:
    first, second = image("a"), image("b", DOWN)
    assert render(first, second) == render(second, first)


@pytest.mark.usefixtures("drawn_curves")
def test_pages_and_thumbnails_stay_small() -> None:
    """A page grows by the words of its cases alone; a picture takes 25 kB at most."""
    head = phantom(0, "glioma", 224).image
    attribution = np.cos(np.linspace(0, 9, head[..., 0].size)).reshape(head.shape[:2])
    assert len(thumbnail_of(head, attribution)) < 25_000
    one, two = render(image("a")), render(image("a"), image("b"))
    assert len(two) - len(one) < 6_000


def test_thumbnails_are_shrunk_never_enlarged_and_keep_grey_grey() -> None:
    picture = phantom(3, "glioma", 224).image
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    near = [np.exp(-((x - at) ** 2 + (y - at) ** 2) / 900) for at in (90.0, 150.0)]
    picture = overlay(picture, near[0] - near[1])
    assert max(pixels(thumbnail(picture)).shape) == THUMBNAIL_SIDE
    assert pixels(thumbnail(np.zeros((5, 9, 3), np.uint8))).shape == (5, 9, 3)
    after = pixels(compact_png(picture))
    assert np.abs(after - picture).mean() < 4
    grey = np.ptp(picture, axis=-1) == 0
    assert grey.sum() > 1_000
    assert np.ptp(after[grey], axis=-1).max() <= 8


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as opened:
        return np.asarray(opened.convert("RGB")).astype(int)
