"""The findings about splits: closest duplicates, chains of them, conflicts, similar slices."""

from __future__ import annotations

import csv
import io

from fakd_jax.audit.findings import (
    THROUGH_ANOTHER,
    Duplicate,
    duplicates_in_training,
    summarise,
)
from fakd_jax.audit.matching.pairs import DIFFERENT, IDENTICAL, LEVELS, REENCODED, Pair
from fakd_jax.audit.record import Audit
from fakd_jax.audit.shortcuts import Shortcut
from fakd_jax.audit.text import duplicate_rows, groups_csv, shortcut_rows
from fakd_jax.data.dataset import Example, ImageDataset
from fakd_jax.metrics.resampling import wilson_interval

MIRRORED, PLAIN = "mirrored", "as it is"
# t* are test images, r* training images. t0, r0 and r1 show one picture; t1 reaches r2 through t2.
COPIES = (
    Pair("r0", "t0", MIRRORED, REENCODED, 0.999, 0.99),
    Pair("r1", "t0", PLAIN, IDENTICAL, 1.0, 1.0),
    Pair("t1", "t2", PLAIN, REENCODED, 0.98, 0.95),
    Pair("r2", "t2", PLAIN, LEVELS, 0.95, 0.9),
)
REJECTED = (
    Pair("r3", "t3", PLAIN, DIFFERENT, 0.85, 0.5),
    Pair("r0", "r3", PLAIN, DIFFERENT, 0.84, 0.4),
    Pair("r4", "t4", PLAIN, DIFFERENT, 0.75, 0.3),
)
GROUPS = {"r0": 0, "r1": 0, "t0": 0, "r2": 1, "t1": 1, "t2": 1, "r3": 2, "r4": 3, "t3": 4, "t4": 5}
LABELS = {"r0": 0, "r1": 0, "t0": 0, "r2": 0, "t1": 1, "t2": 1, "r3": 0, "r4": 1, "t3": 0, "t4": 1}
AUDIT = Audit("f" * 64, COPIES, REJECTED, GROUPS)


def dataset() -> ImageDataset:
    made = object.__new__(ImageDataset)
    made.examples = tuple(
        Example(id, LABELS[id], "test" if id[0] == "t" else "train", id) for id in sorted(GROUPS)
    )
    made.class_names = ("glioma", "notumor")
    return made


def test_the_closest_duplicate_among_those_trained_on_is_found() -> None:
    duplicates = duplicates_in_training(AUDIT, ["t0", "t1", "t2", "t3"], ["r0", "r1", "r2", "r3"])
    assert duplicates == {
        "t0": Duplicate("t0", "r1", PLAIN, IDENTICAL, 1.0),
        "t1": Duplicate("t1", "r2", THROUGH_ANOTHER, THROUGH_ANOTHER, None),
        "t2": Duplicate("t2", "r2", PLAIN, LEVELS, 0.95),
    }

    without_identical = duplicates_in_training(AUDIT, ["t0"], ["r0", "r2"])
    assert without_identical == {"t0": Duplicate("t0", "r0", MIRRORED, REENCODED, 0.999)}
    assert duplicates_in_training(AUDIT, ["t0"], ["r2"]) == {}


def test_the_summary_counts_by_hand() -> None:
    summary = summarise(dataset(), AUDIT)
    assert summary["groups"] == {"number": 2, "images": 6, "largest": 3, "sizes": {"3": 2}}
    glioma, notumor = summary["duplicates"]["glioma"], summary["duplicates"]["notumor"]
    assert (glioma["test_images"], glioma["with_duplicate"]) == (2, 1)
    assert (notumor["test_images"], notumor["with_duplicate"]) == (3, 2)
    assert glioma["by_alteration"][IDENTICAL] == 1
    assert notumor["by_orientation"][THROUGH_ANOTHER] == 1
    assert summary["conflicts"] == [["r2", "t1", "t2"]]
    # t3 has a very similar training image; r0 and r3 are both training, t4's is less similar.
    assert summary["similar"] == {"correlation": 0.8, "test_images": 1, "of": 2}


def test_the_table_leaves_out_what_never_occurs_and_adds_up() -> None:
    header, rows = duplicate_rows(summarise(dataset(), AUDIT)["duplicates"], "by_orientation")
    assert header[4:] == [PLAIN, THROUGH_ANOTHER]
    assert rows[-1] == ["all", "5", "3", "60.0 %", "2", "1"]


def test_accuracies_of_shortcuts_have_their_interval() -> None:
    low, high = wilson_interval(30, 40)
    (row,) = shortcut_rows([Shortcut("a", "b", 30, 40, 0.25)])[1]
    assert row == ["a", "b", "30", "40", f"75.0 % [{100 * low:.1f}, {100 * high:.1f}]", "25.0 %"]


def test_every_image_has_a_row_in_the_csv() -> None:
    duplicates = duplicates_in_training(AUDIT, ["t0", "t1"], ["r0", "r1", "r2"])
    text = groups_csv(dataset(), AUDIT, duplicates)
    rows = {row.pop("id"): list(row.values()) for row in csv.DictReader(io.StringIO(text))}
    assert set(rows) == set(GROUPS)
    assert rows["t0"] == ["test", "glioma", "0", "3", "r1", PLAIN, IDENTICAL, "1.0"]
    assert rows["t1"][3:] == ["3", "r2", THROUGH_ANOTHER, THROUGH_ANOTHER, ""]
    assert rows["r4"][3:] == ["1", "", "", "", ""]
