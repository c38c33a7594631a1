"""The HTML report: every metric, each sentence only where it is true, what is not known and why."""

from __future__ import annotations

import functools
import json
import operator
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jinja2 import UndefinedError
from scipy.special import softmax

from fakd_jax.errors import UserError
from fakd_jax.evaluation.report.mistakes import Explained, Mistake
from fakd_jax.evaluation.report.page import html_report, write_report
from fakd_jax.metrics.classification import NOT_ASKED_FOR, add_validation
from fakd_jax.metrics.detection import predictive_values
from fakd_jax.metrics.predictions import Predictions
from fakd_jax.reporting.images import PNG_SIGNATURE, embed
from fakd_jax.reporting.numbers import percent
from tests.evaluation.example_metrics import (
    FINGERPRINT,
    SHA,
    example_metrics,
    metrics_with_nothing_known,
    operating_point,
    subset,
)
from tests.reporting.reader import Reader, assert_self_contained

# A page reads no more of a PNG than its head: here of 4 by 3 pixels.
PNG = PNG_SIGNATURE + b"\0\0\0\rIHDR\0\0\0\x04\0\0\0\x03"
TO_AUDIT = "python -m fakd_jax.audit --data 'hospital scans.zip' --cache_dir /scratch"
SETTINGS = {"name": "fakd", "seed": 41, "distillation": {"alpha": 0.25}}
NAMES_OF_PICTURES = (
    *("confusion_matrix", "reliability", "risk_coverage", "roc", "precision_recall", "curves"),
)
PICTURES = dict.fromkeys(NAMES_OF_PICTURES, PNG)
MISTAKE = Mistake(
    rank=1,
    id="test/<odd> & name.png",
    image=np.zeros((5, 4, 3), np.uint8),
    truth="astro",
    prediction="negative",
    probabilities={"astro": 0.021, "negative": 0.9, "zoster": 0.079},
    duplicate="train/copy.png",
)


def words(page: str) -> str:
    """The text of a page's body, cells and lines separated by one space."""
    body = re.sub("<[^>]*>", " ", page[max(page.find("<body>"), 0) :])
    return " ".join(unescape(body).replace("\u00a0", " ").split())


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """The example metrics with dotted keys changed."""
    metrics = example_metrics()
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        functools.reduce(operator.getitem, path, metrics)[last] = value
    return metrics


def render(metrics: dict[str, Any] | None = None, **changes: Any) -> str:
    arguments = {
        "pictures": PICTURES,
        "mistakes": [MISTAKE],
        "settings": SETTINGS,
        "audit_command": TO_AUDIT,
    } | changes
    return html_report(example_metrics() if metrics is None else metrics, **arguments)


@functools.cache
def original() -> str:
    """The text of the page that nothing was changed on."""
    return words(render())


def test_every_metric_is_there_with_its_interval() -> None:
    for part in (
        "accuracy 80.00 % [65.24, 89.50] 32 of 40",
        "duplicates together 80.00 % [65.12, 90.23]",
        "balanced accuracy 80.56 % [67.89, 90.12]",
        # Of 28 tumours 4 were predicted as negative.
        "missed tumours 14.29 % [5.70, 31.49] 4 of 28 tumours predicted as negative: 3 astro, 1 z",
        "false alarms 16.67 % [4.70, 44.80] 2 of 12",
        "Cohen’s kappa 0.6939 [0.4812, 0.8194]",
        "the second curve: 0.9543 [0.8712, 0.9846]. Chance is the share of tumours, 70.00 %",
        "tumour or not 0.9123 [0.8500, 0.9600]",
        "All others take the 37 duplicate groups as independent",
        "2,000 bootstrap resamples (seed 0)",
        # With and without a duplicate in training.
        "all images 40 39 80.00 % [65.24, 89.50] 80.00 % [70.00, 90.00]",
        "with a duplicate in training 6 5 100.00 %",
        "without a duplicate 34 33 76.47 %",
        # By class.
        "astro 16 75.00 % [50.50, 89.82] 87.50 % [75.00, 95.00] 80.00 % [61.00, 91.00] 77.42 % "
        "0.9321 [0.8800, 0.9700]",
        "macro average 40 80.56 %",
        # Calibration: (4 * 0.4 + 10 * 0.65 + 26 * 0.93) / 40.
        "80.70 % confident and 80.00 % right",
        "as predicted 8.12 % [0.00, 10.12] 6.13 % 0.6543 [0.5543, 0.8043] 0.3219 [0.2719, 0.3919]",
        "with temperature 1.37 3.45 % [0.00, 5.45] 6.13 % 0.6001 [0.5001, 0.7501] 0.3102",
        "(AURC): 0.0777 [0.0444, 0.1357]",
        # Selective prediction.
        "below a confidence of 76.54 %",
        "30 of 40 images (75.00 %) and abstains on 10",
        "10.00 % [3.46, 25.62] are wrong; without it 20.00 %",
        "the 21 tumours that it predicts it misses 1 (4.76 %",
        "5 would have been predicted right and 5 wrong",
        # Comparison.
        "this one right 28 4 this one wrong 6 2",
        "−5.00 percentage points, 95 % interval −20.00 to +10.00",
        # Mistakes.
        "1 of 8 wrong predictions",
        "astro 2.1 %, negative 90.0 %, zoster 7.9 %",
        "test/<odd> & name.png duplicate in training: train/copy.png",
        # Provenance.
        *(SHA, FINGERPRINT, "student/best/7", "split.json (official, seed 11)", "1.25 ms"),
        *("training seed 41", "distillation.alpha 0.25", "phase student; step 7; epoch 3"),
    ):
        assert part in original(), part


def test_the_page_is_self_contained_with_alternative_texts_and_its_bytes_repeat() -> None:
    assert "astro: 12 astro, 3 negative, 1 zoster; negative: 2 astro, 10 negative" in render()
    assert_self_contained(render())
    assert_self_contained(render(metrics_with_nothing_known(), settings=None))
    assert render() == render()


@pytest.mark.parametrize(
    ("changes", "appears", "disappears"),
    [
        ({"provenance.head": "random"}, "head is not known to be trained", None),
        # Duplicates and data.
        ({"subsets": None}, f"run {TO_AUDIT} and evaluate", "6 of 40 images have a duplicate"),
        ({"subsets.rows": None}, "split is not known", "6 of 40 images have a duplicate"),
        ({"provenance.data.source": "phantom"}, "drawn by a program", "identify patients"),
        ({"provenance.data.same_as_training": False}, "trained on other data", None),
        ({"provenance.data.same_as_training": None}, "Which data the network", None),
        ({"provenance.split_origin": "the data itself"}, "may have trained on them", None),
        # What was chosen on which images.
        ({"provenance.split": "val"}, "These are validation images", "accuracy (87.50 %)"),
        ({"provenance.split": "train"}, "These are training images", "accuracy (87.50 %)"),
        ({"provenance.trained": None}, None, "accuracy (87.50 %)"),
        ({"calibration.temperature": None}, "No temperature was fitted", "on only 24 validation"),
        ({"calibration.temperature.after.nll": 0.7}, "it does not improve", "it improves"),
        ({"selective.reject": None}, "No threshold was chosen", "was chosen on 24 validation"),
        (
            {
                "selective.reject.n_kept": 0,
                "selective.reject.risk": None,
                "selective.reject.missed_tumour": {"count": 0, "n": 0, "rate": None, "ci95": None},
            },
            "It abstains on every image",
            "[3.46, 25.62] are wrong",
        ),
        # Chance.
        (
            {"comparison.verdict": "better"},
            "This network is the more accurate one",
            "do not settle",
        ),
        ({"comparison.verdict": "worse"}, "The other network is the more acc", "do not settle"),
        (
            {"comparison.sign_flip_p": 0.044},
            "p = 0.044. Test and interval disagree: the data do not settle",
            "p = 0.812. The data do not settle",
        ),
        ({"comparison.difference_ci95": None}, "no interval", "−20.00 to +10.00"),
        ({"bootstrap.unit": "image"}, "McNemar’s exact test", "a duplicate group change sides"),
        ({"bootstrap.unit": "image"}, "all images as independent; where", "keep duplicates"),
        ({"per_class.astro.support": 100}, None, "astro has 16 images"),
        ({"per_class.negative.support": 0}, None, "negative has 12 images: one more or one fewer"),
        ({"false_alarm": None}, None, "30.00 % of these images are negative"),
        ({"confusion_matrix": [[16, 0, 0], [0, 12, 0], [0, 0, 12]]}, "There are none", "1. astro"),
    ],
)
def test_each_sentence_is_there_only_where_it_is_true(
    changes: dict[str, Any], appears: str | None, disappears: str | None
) -> None:
    text = words(render(changed(changes)))
    assert appears is None or (appears in text and appears not in original())
    assert disappears is None or (disappears in original() and disappears not in text)


def test_validation_images_without_an_error_choose_a_temperature_but_no_threshold() -> None:
    logits = 2 * np.eye(3)
    faultless = Predictions(("0", "1", "2"), logits, softmax(logits, axis=1), np.arange(3))
    metrics = add_validation(example_metrics(), faultless, faultless, "negative")
    text = words(render(metrics))
    assert "No threshold was chosen: no validation image is misclassified" in text
    assert "No temperature was fitted" not in text


def test_calibration_that_was_not_asked_for() -> None:
    text = words(render(metrics_with_nothing_known() | {"notes": [NOT_ASKED_FOR]}))
    assert text.count("this evaluation ran with --no_calibration") == 2
    assert "it needs the validation images" not in text


def test_explained_mistakes_come_first_with_both_pictures_and_the_reading() -> None:
    picture = np.full((5, 4, 3), 9, np.uint8)
    first = replace(MISTAKE, id="first.png", explanation=Explained(picture, "read me"))
    page = render(mistakes=[first, replace(MISTAKE, rank=2)])
    text = words(page)
    assert "Beside the first is what speaks for the wrong prediction (orange)" in text
    assert text.index("1. astro") < text.index("read me") < text.index("2. astro")
    assert page.count(embed(picture).uri) == 1
    assert page.count(embed(MISTAKE.image).uri) == 2
    third = replace(first, rank=3, explanation=Explained(picture, "read on"))
    text = words(render(mistakes=[first, replace(MISTAKE, rank=2, follows=1), third]))
    assert text.index("3. astro") < text.index("2. astro") < text.index("group of mistake 1")
    assert_self_contained(page)
    assert "what speaks for" not in words(render())


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node to run the page's script")
def test_predictive_values_entered_on_the_page_are_pythons(tmp_path: Path) -> None:
    """The page's own script, on a document with the few elements that it asks for."""
    metrics = example_metrics()
    tumour = metrics["tumour"]
    tumour["points"].append(operating_point("these images", 28, 12, target=0.5, threshold=0.1))
    tumour["points"].append(operating_point("these images", 0, 12, target=0.99, threshold=9.0))
    (script,) = Reader(render(metrics)).of("script")
    count, shares = len(tumour["points"]), (0.01, 0.3, 0.7, 0.999)
    document = f"""
        const rows = Array.from({{length: {count}}}, () => ({{cells: [{{}}, {{}}, {{}}]}}));
        let update;
        const input = {{valueAsNumber: NaN, addEventListener: (_, run) => {{ update = run; }}}};
        const found = {{input, tbody: {{rows}}}};
        const section = {{hidden: true, querySelector: (name) => found[name]}};
        const document = {{getElementById: () => section}};
    """
    read = f"""
        const written = () => rows.map((row) => row.cells.slice(1).map((cell) => cell.textContent));
        const shown = [written()];
        for (const share of {list(shares)}) {{ input.valueAsNumber = 100 * share; update();
          shown.push(written()); }}
        console.log(JSON.stringify([section.hidden, ...shown]));
    """
    (tmp_path / "page.js").write_text(document + script + read, encoding="utf-8")
    node = subprocess.run(
        ["node", str(tmp_path / "page.js")], capture_output=True, check=True, text=True
    )
    hidden, without, *shown = json.loads(node.stdout)
    assert hidden is False
    assert without == [["–", "–"]] * count  # what was entered is not a number
    for share, rows in zip(shares, shown, strict=True):
        for point, cells in zip(tumour["points"], rows, strict=True):
            values = predictive_values(point["sensitivity"], point["specificity"], share)
            expected = [percent(values[name], values[f"{name}_ci95"]) for name in ("ppv", "npv")]
            assert [cell.replace("\u00a0", " ").replace("\n", " ") for cell in cells] == expected


def test_without_javascript_what_needs_it_is_hidden() -> None:
    (section,) = re.findall('<div id="at-prevalence"([^>]*)>', render())
    assert section.strip() == "hidden"
    assert "<script" not in render(metrics_with_nothing_known(), settings=None)


@pytest.mark.parametrize(
    ("duplicate", "sentence"),
    [
        ("", "no duplicate in training"),
        (None, "Whether they have duplicates among the training images is not known"),
    ],
)
def test_no_duplicate_is_not_the_same_as_not_audited(duplicate: str | None, sentence: str) -> None:
    text = words(render(mistakes=[replace(MISTAKE, duplicate=duplicate)]))
    assert sentence in text
    assert "duplicate in training: " not in text


def test_what_is_none_is_reported_as_not_known_and_why() -> None:
    pictures = {name: picture for name, picture in PICTURES.items() if name != "curves"}
    text = words(render(metrics_with_nothing_known(), pictures=pictures, settings=None))
    assert "None" not in text
    for part in (
        "missed tumours – no class is named as tumour-free",
        "false alarms – no class is named as tumour-free",
        "AUROC, tumour or not – not defined",
        "Cohen’s kappa – not defined",
        "No temperature was fitted: it needs the validation images",
        "No threshold was chosen: it needs the validation images",
        "No other checkpoint was given",
        "not in a workdir with a record of epochs",
        "not in a workdir with a configuration",
        "config not known",
    ):
        assert part in text, part


@pytest.mark.parametrize(
    "path",
    [key for key in example_metrics() if key != "class_names"]
    + ["auroc.tumour", "per_class.astro.specificity", "bootstrap.unit"]
    + ["provenance.data.fingerprint"],
)
def test_a_missing_key_is_an_error(path: str) -> None:
    *parents, last = path.split(".")
    metrics = example_metrics()
    del functools.reduce(operator.getitem, parents, metrics)[last]
    with pytest.raises((KeyError, UndefinedError), match=last):
        render(metrics)


@pytest.mark.parametrize(
    ("tested", "duplicates", "sentence"),
    [
        (40, 0, None),
        (40, 6, "the accuracy without duplicates is 2.94 %"),
        (40, 40, "Every image has a duplicate among the training images"),
        (1035, 995, "995 test images with a duplicate were set apart"),
    ],
)
def test_the_caveat_about_duplicates_fits_their_number(
    tested: int, duplicates: int, sentence: str | None
) -> None:
    numbers = {"all": tested, "duplicate in training": duplicates}
    numbers["no duplicate"] = tested - duplicates
    none = {"n": 0, "accuracy": None, "accuracy_ci95": None}
    rows = [subset(name, n or 1, 1) | (none if not n else {}) for name, n in numbers.items()]
    page = render(changed({"subsets.rows": rows}))
    caveats = words(page[page.index('id="what-these-metrics-do-not-say"') :])
    assert ("duplicate among" in caveats) == (sentence is not None)
    assert sentence is None or sentence in caveats


def test_the_report_is_written_with_its_pictures_and_the_workdirs_records(tmp_path: Path) -> None:
    workdir = tmp_path / "run"
    workdir.mkdir()
    (workdir / "config.json").write_text(json.dumps(SETTINGS))
    record = {"phase": "student", "kind": "val", "epoch": 1, "step": 4}
    record |= {"loss": 1.0, "accuracy": 0.5}
    (workdir / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    folder = tmp_path / "evaluation"
    folder.mkdir()
    write_report(folder, example_metrics(), [MISTAKE], workdir, audit_command=TO_AUDIT)
    assert sorted(path.name for path in folder.iterdir()) == [
        "confusion_matrix.png",
        "curves.png",
        "precision_recall.png",
        "reliability.png",
        "report.html",
        "risk_coverage.png",
        "roc.png",
    ]
    text = words((folder / "report.html").read_text(encoding="utf-8"))
    assert "training seed 41" in text
    assert "record of epochs" not in text
    # A report without a workdir ignores the curves of an earlier one.
    write_report(folder, example_metrics(), [MISTAKE], None, audit_command=TO_AUDIT)
    text = words((folder / "report.html").read_text(encoding="utf-8"))
    assert "not in a workdir with a record of epochs" in text


def test_a_damaged_configuration_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        write_report(tmp_path, example_metrics(), [], tmp_path, audit_command=TO_AUDIT)


@pytest.mark.parametrize(
    ("data", "is_named"),
    [
        ({"labelled_share": 0.25}, True),
        ({"labelled_share": 1.0}, False),
        ({}, False),
        (None, False),
    ],
)
def test_a_share_of_labels_is_a_caveat(data: dict[str, float] | None, is_named: bool) -> None:
    page = render(settings=SETTINGS | ({} if data is None else {"data": data}))
    caveats = words(page[page.index('id="what-these-metrics-do-not-say"') :])
    assert ("25.00 % were used" in caveats) == is_named


def test_a_stress_test_is_summed_up_without_repetition() -> None:
    def row(accuracy: float, missed: int | None, **condition: Any) -> dict[str, Any]:
        known = missed is not None and {"count": missed, "n": 28, "rate": missed / 28}
        interval = [accuracy - 0.05, accuracy + 0.05]
        return condition | {
            "accuracy": accuracy,
            "accuracy_ci95": interval,
            "missed_tumour": known or None,
        }

    worst = row(0.5, 7, family="missing_border", severity=3)
    stress = {
        "page": "stress/stress.html",
        "families": 24,
        "severities": [1, 3],
        "summary": {
            "clean": row(0.7, 1),  # equal values are no repetition
            "mean": row(0.7, 1),
            "mean_1_to_3": row(0.7, 1),
            "worst_family_at_3": worst,
            "worst": worst,
        },
    }
    page = render(example_metrics() | {"stress": stress})
    text = words(page[page.index('id="under-shifts-of-the-images"') :])
    for part in (
        "images as they are 70.00 % [65.00, 75.00] 3.57 %",
        "mean of all shifts 70.00 % [65.00, 75.00] 3.57 % worst at severity 3: missing border",
        "50.00 % [45.00, 55.00] 25.00 % 24 families of shifts",
    ):
        assert part in text
    assert 'href="stress/stress.html"' in page
    strong = stress | {"severities": [1, 3, 5]}
    assert "mean of severities 1 to 3" in words(render(example_metrics() | {"stress": strong}))
