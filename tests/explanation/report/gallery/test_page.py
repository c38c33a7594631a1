"""The gallery: everything is in it, the doubtful is told in words, nothing is fetched."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import numpy as np
import pytest

from fakd_jax.data.phantom.dataset import phantom
from fakd_jax.explanation.report.attribution import overlay
from fakd_jax.explanation.report.gallery import case as gallery_case
from fakd_jax.explanation.report.gallery.page import CASES_OPEN, gallery
from fakd_jax.explanation.report.gallery.pictures import thumbnail
from fakd_jax.explanation.report.gallery.wording import decimal, whole_percent
from tests.explanation.report.gallery.example_gallery import (
    DOWN,
    METHODS,
    cells_of,
    image,
    png,
    read_picture,
    summary,
    verdict,
)

HOSTILE = 'a/<script>alert(1)</script>&".png'


@pytest.fixture(autouse=True)
def _blank_curves(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves take a third of a second to draw; only the test of sizes looks at them."""
    if "drawn_curves" not in request.fixturenames:
        blank = png(np.full((2, 2, 3), 255, np.uint8))
        monkeypatch.setattr(gallery_case, "draw_curves", lambda cells, controls: blank)


@pytest.fixture
def drawn_curves() -> None:
    """Asks for the curves themselves."""


def render(*images: list[dict[str, Any]], **changes: Any) -> str:
    return gallery(summary(**changes), cells_of(*images), read_picture)


def words(page: str) -> str:
    """What a reader sees, cells and lines apart by one space."""
    body = page[page.index("<body>") :]
    return " ".join(unescape(re.sub("<[^>]*>", " ", body)).split())


def pictures(page: str) -> list[bytes]:
    return [base64.b64decode(found) for found in re.findall('base64,([^"]+)"', page)]


def captions(page: str, method: str) -> list[str]:
    """What stands below each picture of a method."""
    found = re.findall("<figcaption>(.*?)</figcaption>", page, flags=re.DOTALL)
    told = [" ".join(unescape(re.sub("<[^>]*>", " ", one)).split()) for one in found]
    return [one for one in told if one.startswith(method)]


def test_every_image_has_the_picture_of_every_method_worst_first() -> None:
    seen: list[tuple[str, str | None]] = []

    def read(id: str, method: str | None) -> bytes:
        seen.append((id, method))
        return read_picture(id, method)

    cells = cells_of(image("a"), image("b", prediction="notumor"), image("c", DOWN))
    page = gallery(summary(), cells, read)
    assert seen == [(id, method) for id in "bca" for method in (None, *METHODS)]
    embedded = pictures(page)
    for method in (None, *METHODS):
        assert embedded.count(thumbnail(read_picture("a", method))) == 3
    text = words(page)
    assert "Wrongly predicted (1) 1. glioma, called notumor (62.5 %) b Explained" in text
    assert "Rightly predicted (2) 2. glioma, rightly called glioma (62.5 %) c" in text
    assert "3. glioma, rightly called glioma (62.5 %) a" in text
    assert "Truth not known" not in text


def test_the_lead_says_what_this_is_and_what_it_is_not() -> None:
    text = words(render(image("a"), image("b", prediction="notumor"), image("c", true_class=None)))
    assert (
        "Why mobilenet_v3_large (config fakd, student/best/7) decided as it did on 3 images of "
        "phantom, test split, told by 3 methods, 1 of them controls: 1 wrongly predicted, 1 truth "
        "not known, 1 rightly predicted. Research software, not for diagnosis." in text
    )
    assert "head is not known to be trained" not in text
    assert "c Explained" in text.partition("called glioma (62.5 %), truth not known")[2]


def test_a_head_that_was_not_trained_is_warned_of_and_files_need_no_data() -> None:
    untrained = summary()["checkpoint"] | {"head": "random", "config": None}
    text = words(render(image("a"), checkpoint=untrained, data=None))
    assert "head is not known to be trained" in text
    assert "(config not known, student/best/7) decided as it did on 1 images, told" in text
    assert "fingerprint" not in text


def test_what_is_unstable_or_says_nothing_is_told_in_words() -> None:
    page = render(image("a", jaccard=0.79), image("b", jaccard=0.8), image("c", jaccard=None))
    told = captions(page, "lime")
    assert ["UNSTABLE (Jaccard 0.79)" in one for one in told] == [True, False, False]
    assert ["stable (Jaccard 0.80)" in one for one in told] == [False, True, False]
    assert "stability not measured" in told[2]
    page = render(image("a", [0.0, 0.0, 0.0, 1e-9]))
    (silent,) = captions(page, "grad-cam")
    assert "SAYS NOTHING: every weight is negligible" in silent
    assert "table" not in silent
    assert "agrees" not in silent
    assert "No two methods can be compared." in words(page)


def test_captions_have_gap_fit_agreement_and_what_lies_outside() -> None:
    page = render(image("a", DOWN, gap=-0.125, local_fidelity=0.75, background=0.347))
    assert captions(page, "lime") == [
        "lime stable (Jaccard 0.90) gap −0.12, R² 0.75 agrees with others −1.00 "
        "35 % outside the head"
    ]
    (control,) = captions(page, "centre (control)")
    assert "agrees" not in control
    page = render(image("a", local_fidelity=None, gap=None, background=None))
    assert captions(page, "lime") == ["lime stable (Jaccard 0.90) gap – agrees with others +1.00"]


def test_who_agrees_most_and_least_is_named() -> None:
    cells = image("a", DOWN)
    cells[2] |= {"weights": [0.1, 0.2, 0.4, 0.3]}
    page = render(cells, controls=[])
    # Ranks 1234 and 1243 correlate by 0.8, 4321 and 1243 by -0.8: the mean is (-1 + 0.8 - 0.8) / 3.
    assert (
        "mean rank correlation is −0.33; lime and centre agree most (+0.80), lime and grad-cam "
        "least (−1.00)." in words(page)
    )


def test_probabilities_name_truth_and_answer() -> None:
    text = words(render(image("a"), image("b", prediction="notumor")))
    assert "class probability glioma (truth, answer) 62.5 % notumor 37.5 %" in text
    assert "class probability glioma (truth) 62.5 % notumor (answer) 37.5 %" in text


def test_lesions_are_spoken_of_only_where_one_is_known() -> None:
    known = {"pointing": 1.0, "dice": 0.5, "mass_in_mask": 0.347}
    page = render(image("a", **known), image("b"))
    told = captions(page, "lime")
    assert ["lesion: pointing 1.00, Dice 0.50, holds 35 %" in one for one in told] == [True, False]
    assert "outlined in white" in words(page)
    for word in ("lesion", "pointing", "dice", "outlined"):
        assert word not in words(render(image("a"), image("b"))).lower()


def test_the_summary_has_means_with_intervals_and_leaves_out_what_nobody_measured() -> None:
    text = words(render(image("a")))
    assert (
        "method images stability ↑ gap ↑ local fidelity ↑ dependence ↑ background ↓ lime 3 0.50 "
        "[0.25, 0.75]" in text
    )
    assert "centre (control) 3 0.50 [0.25, 0.75]" in text


def test_verdicts_are_words_and_their_figures_are_beside() -> None:
    text = words(render(image("a")))
    assert "method gap lime better than centre grad-cam WORSE than centre" in text
    assert "lime centre gap +0.25 [+0.15, +0.35] 3 grad-cam centre gap −0.25 [" in text
    undecided = [verdict("lime", "gap", "not told apart"), verdict("grad-cam", "gap", None)]
    text = words(render(image("a"), verdicts=undecided))
    assert "method gap lime not told apart from centre The differences" in text
    assert "Held against controls" not in words(render(image("a"), verdicts=[]))


def test_what_fails_the_sanity_check_is_told() -> None:
    text = words(render(image("a")))
    assert "lime 0.70 [0.60, 0.80] yes 3 grad-cam 0.00 NO: much the same untrained 3" in text
    unmeasured = [{"method": "lime", "dependence": None, "ci95": None, "n": 0, "passes": None}]
    assert "what the network learnt" not in words(render(image("a"), sanity=unmeasured))


def test_the_benchmarks_picture_is_embedded_if_given() -> None:
    drawn = png(np.full((3, 4, 3), 77, np.uint8))
    assert drawn in pictures(gallery(summary(), image("a"), read_picture, benchmark_picture=drawn))
    assert drawn not in pictures(render(image("a")))


def test_later_cases_are_folded_away() -> None:
    page = render(*(image(f"{number:02}") for number in range(CASES_OPEN + 2)))
    folded = re.findall("<summary>(.*?)</summary>", page)
    assert [one.split(".")[0] for one in folded[1:]] == ["13", "14"]
    assert page.count("<h3>1") == 4  # cases 1, 10, 11, 12


def test_ids_and_names_cannot_become_markup_and_nothing_is_fetched() -> None:
    page = render(image(HOSTILE, prediction="<img src=x>", explained_class="<b>"))
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "<b>" not in page
    assert HOSTILE in words(page)
    assert not re.search("https?:", page)
    for source in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert source.startswith(("data:image/png;base64,", "#"))


def test_the_same_page_has_the_same_bytes_whatever_the_order_of_images() -> None:
    first, second = image("a"), image("b", DOWN)
    assert render(first, second) == render(second, first) == render(first, second)


@pytest.mark.usefixtures("drawn_curves")
def test_a_page_of_heads_stays_small() -> None:
    """A picture takes 25 kB at most, so that 32 images by 10 methods stay below 8 MB."""
    head = phantom(0, "glioma", 224).image
    attribution = np.cos(np.linspace(0, 9, head[..., 0].size)).reshape(head.shape[:2])
    picture = png(overlay(head, attribution))
    page = gallery(summary(), image("a"), lambda id, method: picture)
    assert max(map(len, pictures(page))) < 25_000
    share = np.mean([len(one) for one in pictures(page)[1:]]) * 4 / 3
    assert share * 32 * (1 + 10 + 1) < 8_000_000


@pytest.mark.parametrize(
    ("write", "value", "expected"),
    [
        (decimal, None, "–"),
        (decimal, 0.126, "0.13"),
        (decimal, -0.2, "−0.20"),
        (decimal, -0.001, "0.00"),
        (lambda value: decimal(value, signed=True), 0.126, "+0.13"),
        (lambda value: decimal(value, signed=True), -0.001, "+0.00"),
        (whole_percent, 0.347, "35\u00a0%"),
    ],
)
def test_how_figures_are_written(
    write: Callable[[float | None], str], value: float | None, expected: str
) -> None:
    assert write(value) == expected
