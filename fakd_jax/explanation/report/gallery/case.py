"""One image of the gallery: pictures side by side, what to think of them, and the curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fakd_jax.explanation.benchmark.agreement import mean_agreement, says_nothing
from fakd_jax.explanation.benchmark.cases import Case
from fakd_jax.explanation.quality.stability import STABLE
from fakd_jax.explanation.report.curve_figure import draw_curves
from fakd_jax.explanation.report.gallery.pictures import PictureSource, thumbnail
from fakd_jax.explanation.report.gallery.wording import (
    decimal,
    whole_percent,
)
from fakd_jax.reporting.markup import (
    Html,
    Inline,
    Thumbnail,
    beside,
    code,
    figure,
    paragraph,
    strong,
    table,
    thumbnails,
)


def case_title(case: Case) -> str:
    """Truth, answer and how sure the network was of it.

    Its probability keeps a decimal: 99.6 % is not certainty.
    """
    facts = case.facts
    answer = f"{facts['prediction']} ({100 * facts['probability']:.1f}\u00a0%)"
    if case.right is None:
        return f"called {answer}, truth not known"
    return f"{facts['true_class']}, {'rightly called' if case.right else 'called'} {answer}"


def case_content(case: Case, read_picture: PictureSource) -> tuple[Html, ...]:
    """What stands below a case's title.

    Args:
      case: the image and its cells.
      read_picture: gives the image and the pictures of its explanations.
    """
    facts = case.facts
    originals = [
        Thumbnail(
            thumbnail(read_picture(facts["id"], None)),
            f"{facts['id']}, what the network saw",
            [strong("original"), "what the network saw"],
        )
    ]
    return (
        paragraph(code(facts["id"])),
        paragraph(f"Explained is {facts['explained_class']}. {_about_agreement(case)}"),
        thumbnails(originals + [_thumbnail(case, method, read_picture) for method in case.cells]),
        beside(
            _probabilities(facts),
            figure(
                draw_curves(case.cells, case.controls),
                alt=f"Deletion and insertion curves of {len(case.cells)} methods for "
                f"{facts['explained_class']}",
            ),
        ),
    )


def has_localisation(cell: Mapping[str, Any]) -> bool:
    """Whether the explanation was held against a lesion known to be there."""
    return cell["measures"]["pointing"] is not None


def _about_agreement(case: Case) -> str:
    """How far the methods agree, and which two most and least."""
    compared = {pair: value for pair, value in case.pairs.items() if value is not None}
    if not compared:
        return "No two methods can be compared."
    mean = f"The methods' mean rank correlation is {decimal(mean_agreement(compared), signed=True)}"
    if len(compared) == 1:
        return f"{mean}."
    closest, furthest = (
        max(compared, key=compared.__getitem__),
        min(compared, key=compared.__getitem__),
    )
    return (
        f"{mean}; {' and '.join(closest)} agree most "
        f"({decimal(compared[closest], signed=True)}), {' and '.join(furthest)} least "
        f"({decimal(compared[furthest], signed=True)})."
    )


def _thumbnail(case: Case, method: str, read_picture: PictureSource) -> Thumbnail:
    cell = case.cells[method]
    return Thumbnail(
        thumbnail(read_picture(cell["id"], method)),
        f"{cell['id']}, evidence for and against {cell['explained_class']} by {method}",
        _caption(case, method),
    )


def _caption(case: Case, method: str) -> list[Inline]:
    cell = case.cells[method]
    measures = cell["measures"]
    fidelity = measures["local_fidelity"]
    caption: list[Inline] = [
        strong(f"{method} (control)" if method in case.controls else method),
        strong("SAYS NOTHING: every weight is negligible")
        if says_nothing(cell["weights"])
        else _stability(measures["jaccard"]),
        f"gap {decimal(measures['gap'], signed=True)}"
        + ("" if fidelity is None else f", R² {decimal(fidelity)}"),
    ]
    agreement = mean_agreement(case.pairs, method)
    if agreement is not None:
        caption.append(f"agrees with others {decimal(agreement, signed=True)}")
    if has_localisation(cell):
        caption.append(
            f"lesion: pointing {decimal(measures['pointing'])}, Dice {decimal(measures['dice'])}, "
            f"holds {whole_percent(measures['mass_in_mask'])}"
        )
    background = measures["background"]
    if background is not None and background >= 0.01:
        caption.append(f"{whole_percent(background)} outside the head")
    return caption


def _stability(jaccard: float | None) -> Inline:
    if jaccard is None:
        return "stability not measured"
    if jaccard < STABLE:
        return strong(f"UNSTABLE (Jaccard {decimal(jaccard)})")
    return f"stable (Jaccard {decimal(jaccard)})"


def _probabilities(facts: Mapping[str, Any]) -> Html:
    """Every class with its probability; truth and answer are marked in words."""
    rows = []
    for name, probability in facts["probabilities"].items():
        marks = [
            word
            for key, word in (("true_class", "truth"), ("prediction", "answer"))
            if facts[key] == name
        ]
        label = f"{name} ({', '.join(marks)})" if marks else name
        rows.append([label, f"{100 * probability:.1f}\u00a0%"])
    return table(["class", "probability"], rows, align="lr")
