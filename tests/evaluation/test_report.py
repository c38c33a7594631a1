"""The text report: the paper's Table 2 with what it lacks."""

from __future__ import annotations

import numpy as np

from fakd_jax.evaluation.confusion import metrics_of_confusion
from fakd_jax.evaluation.report import percent, table2

NAMES = ("glioma", "meningioma", "notumor", "pituitary")
PAPER = np.array([[297, 3, 0, 0], [0, 303, 2, 1], [0, 0, 405, 0], [0, 1, 0, 299]])


def test_the_papers_table_2_as_text() -> None:
    assert table2(metrics_of_confusion(PAPER, NAMES, "notumor")) == (
        "class             images  precision    recall  its 95 % interval       F1\n"
        "----------------  ------  ---------  --------  -----------------  -------\n"
        "glioma               300   100.00 %   99.00 %     [97.10, 99.66]  99.50 %\n"
        "meningioma           306    98.70 %   99.02 %     [97.16, 99.67]  98.86 %\n"
        "notumor              405    99.51 %  100.00 %    [99.06, 100.00]  99.75 %\n"
        "pituitary            300    99.67 %   99.67 %     [98.14, 99.94]  99.67 %\n"
        "----------------  ------  ---------  --------  -----------------  -------\n"
        "macro average      1,311    99.47 %   99.42 %                     99.44 %\n"
        "weighted average   1,311    99.47 %   99.47 %                     99.47 %\n"
        "\n"
        "accuracy             99.47 % [98.90, 99.74]  (7 of 1,311 wrong)\n"
        "balanced accuracy    99.42 %\n"
        "missed tumours       2 of 906 called notumor: 0.22 % [0.06, 0.80]  (2 meningioma)\n"
    )


def test_what_is_undefined_is_a_dash_and_is_explained() -> None:
    text = table2(metrics_of_confusion(np.array([[3, 0], [0, 0]]), ("a", "b"), "a"))
    row = next(line for line in text.splitlines() if line.startswith("b"))
    assert row.split() == ["b", "0", *["–"] * 4]
    assert "missed tumours       –  (no tumour among the images)" in text
    assert "note: b has no examples" in text


def test_data_without_a_negative_class_says_so() -> None:
    text = table2(metrics_of_confusion(np.eye(2, dtype=int), ("a", "b")))
    assert "no class is named as free of tumour" in text


def test_no_accuracy_without_its_interval() -> None:
    assert percent(0.5, (0.4, 0.6)) == "50.00 % [40.00, 60.00]"
    assert percent(None) == "–"
