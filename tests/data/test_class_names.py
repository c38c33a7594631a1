"""Other names for classes: the user's, the common spellings, and what is refused."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from fakd_jax.data.class_names import parse_class_map, rename_classes, spelling
from fakd_jax.data.layouts.scan import FoundImage, Scan
from fakd_jax.errors import UserError

FOUR = ("glioma", "meningioma", "notumor", "pituitary")


def scan_of(**classes: tuple[str, ...]) -> Scan:
    """One image of each class: `scan_of(train=("a", "b"))`."""
    images = tuple(
        FoundImage(f"{split}/{name}/0.png", Path(), split, name)
        for split, names in classes.items()
        for name in names
    )
    names = tuple(sorted({image.class_name for image in images}))
    return Scan(Path("data"), {split: split for split in classes}, names, images, (), "stamp")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (FOUR, FOUR),
        (("glioma_tumor", "meningioma_tumor", "no_tumor", "pituitary_tumor"), FOUR),
        (("Glioma", "Meningioma", "No Tumour", "Pituitary tumor"), FOUR),
        (("gliomas", "normal"), ("glioma", "notumor")),
        (("no", "meningioma tumours"), ("meningioma", "notumor")),
    ],
)
def test_common_spellings_are_known(names: tuple[str, ...], expected: tuple[str, ...]) -> None:
    lines: list[str] = []
    scan = rename_classes(scan_of(test=names), {}, FOUR, log=lines.append)
    assert scan.class_names == expected
    assert len(lines) == (names != expected)
    assert (scan.stamp == "stamp") == (names == expected)
    untouched = rename_classes(scan_of(test=names), {}, log=lines.append)
    assert untouched.class_names == tuple(sorted(names))


def test_a_map_comes_before_spellings_and_may_join_and_leave_out() -> None:
    lines: list[str] = []
    scan = scan_of(test=("high grade", "low grade", "metastasis", "normal"))
    chosen = parse_class_map("high grade=glioma, low grade=glioma,metastasis=")
    renamed = rename_classes(scan, chosen, FOUR, log=lines.append)
    assert renamed.counts() == {"test": {"glioma": 2, "notumor": 1}}
    assert renamed.class_map == chosen | {"normal": "notumor"}
    assert lines == [
        "data: classes renamed: high grade → glioma, low grade → glioma, normal → notumor",
        "data: 1 images left out by the class map: metastasis",
    ]


@pytest.mark.parametrize(
    ("names", "class_map", "complaint"),
    [
        (("yes", "no"), "", r"classes yes are none of .*--class-map yes=CLASS.*--class-map yes="),
        (("a", "b"), "", "classes a, b are none"),
        (("glioma",), "nothing=glioma,more=", "class map names more, nothing, but the classes"),
        (("glioma",), "glioma=tumour", "classes glioma are none"),
    ],
)
def test_names_that_fit_nothing_are_refused(
    names: tuple[str, ...], class_map: str, complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint):
        rename_classes(scan_of(test=names), parse_class_map(class_map), FOUR, log=print)


def test_of_a_map_that_comes_with_a_checkpoint_only_what_fits_is_used() -> None:
    renamed = rename_classes(
        scan_of(test=("g", "notumor")), {"g": "glioma", "x": "y"}, FOUR, strict=False
    )
    assert renamed.class_names == ("glioma", "notumor")


def test_two_spellings_in_two_splits_are_refused_unless_they_are_mapped() -> None:
    scan = scan_of(train=("Glioma", "no"), test=("glioma", "no"))
    with pytest.raises(UserError, match=r"in (train|test) only .*class_map=") as error:
        rename_classes(scan, {}, log=print)
    assert "--class-map" in str(error.value)
    assert rename_classes(scan, {"Glioma": "glioma"}).class_names == ("glioma", "no")
    both = scan_of(train=("Glioma", "glioma"), test=("Glioma", "glioma"))
    assert rename_classes(both, {}) == both


def test_forms_of_unicode_are_one_name() -> None:
    composed, apart = (unicodedata.normalize(form, "méningiome") for form in ("NFC", "NFD"))
    joined = rename_classes(scan_of(train=(composed, "no"), test=(apart, "no")), {})
    assert joined.class_names == (composed, "no") or joined.class_names == ("no", composed)
    alone = scan_of(train=(apart,), test=(apart,))
    assert rename_classes(alone, {}) == alone  # fingerprints of such data stay as they were
    assert rename_classes(alone, {composed: "meningioma"}).class_names == ("meningioma",)


@pytest.mark.parametrize("text", ["glioma", "=x", "a=b,,c=d", "a=b,a=c"])
def test_maps_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="class map"):
        parse_class_map(text)


def test_spellings_of_different_classes_differ() -> None:
    assert len({spelling(name) for name in (*FOUR, "yes", "tumor")}) == 6
