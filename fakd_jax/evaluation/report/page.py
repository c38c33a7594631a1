"""The report of an evaluation as one HTML page: figures, pictures, and what they do not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fakd_jax.evaluation.report.background import (
    curves_section,
    mistakes_section,
    provenance_section,
)
from fakd_jax.evaluation.report.caveats import caveats
from fakd_jax.evaluation.report.comparisons import comparison_section, copies_section
from fakd_jax.evaluation.report.confidence import calibration_section, selective_section
from fakd_jax.evaluation.report.headline import (
    classes_section,
    headline_section,
)
from fakd_jax.evaluation.report.mistakes import Mistake
from fakd_jax.reporting.markup import Html, Section, bullets, page, paragraph, strong, warning


@dataclass(frozen=True)
class Pictures:
    """PNG files' contents.

    Attributes:
      confusion_matrix: of :func:`fakd_jax.evaluation.report.plots.plot_confusion_matrix`.
      reliability: of :func:`fakd_jax.evaluation.report.confidence_plots.plot_reliability`.
      risk_coverage: of :func:`fakd_jax.evaluation.report.confidence_plots.plot_risk_coverage`.
      curves: of :func:`fakd_jax.evaluation.report.plots.plot_curves`; None if no
        epochs are recorded.
    """

    confusion_matrix: bytes
    reliability: bytes
    risk_coverage: bytes
    curves: bytes | None


def html_report(
    metrics: Mapping[str, Any],
    *,
    pictures: Pictures,
    mistakes: Sequence[Mistake],
    settings: Mapping[str, Any] | None,
    how_to_audit: str,
) -> str:
    """Lays out an evaluation; equal arguments give equal bytes, whatever the day.

    Args:
      metrics: what `metrics.json` holds. What is None there is told as not known, and why.
      pictures: drawn from the same metrics.
      mistakes: the wrong answers to show, the most confident first.
      settings: the training's configuration (`config.json` of its workdir); None if not known.
      how_to_audit: the command that audits the data, for where nobody has done so.

    Returns:
      A complete HTML document that needs no other file.

    Raises:
      KeyError: `metrics` or `settings` lack a key.
    """
    provenance = metrics["provenance"]
    return page(
        f"{provenance['arch']} on {provenance['data']['name']}, {provenance['split']} split",
        [
            headline_section(metrics),
            copies_section(metrics, how_to_audit),
            classes_section(metrics, pictures.confusion_matrix),
            calibration_section(metrics, pictures.reliability),
            selective_section(metrics, pictures.risk_coverage),
            comparison_section(metrics),
            mistakes_section(metrics, mistakes),
            curves_section(pictures.curves),
            provenance_section(metrics, settings),
            Section("What these figures do not say", (bullets(caveats(metrics, settings)),)),
        ],
        lead=_lead(metrics),
    )


def _lead(metrics: Mapping[str, Any]) -> list[Html]:
    """What this is, in one sentence, and what nobody may overlook."""
    provenance = metrics["provenance"]
    data, config = provenance["data"], provenance["config"]
    lead = [
        paragraph(
            f"How well {provenance['arch']} (config {config or 'not known'}, "
            f"{provenance['checkpoint']}) tells {len(metrics['class_names'])} classes apart in the "
            f"{metrics['n']:,} {provenance['split']} images of {data['name']}, version "
            f"{data['version']}. ",
            strong("Research software, not for diagnosis."),
        )
    ]
    if provenance["head"] != "trained":
        lead.append(
            warning(
                paragraph(
                    strong("This network's head is not known to be trained."),
                    " Without training it guesses, and the figures mean nothing.",
                )
            )
        )
    return lead
