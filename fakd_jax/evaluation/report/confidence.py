"""Sections of the HTML report on confidence: calibration, and answering only when sure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fakd_jax.evaluation.report.text import percent
from fakd_jax.evaluation.report.wording import images_of
from fakd_jax.metrics.classification import NOT_ASKED_FOR, WHY_NO_THRESHOLD
from fakd_jax.reporting.markup import Html, Section, bullets, figure, paragraph, table

NO_VALIDATION = (
    "that needs the validation images of the run that trained the network, and this evaluation "
    "has none beside the images that it judges"
)


def calibration_section(metrics: Mapping[str, Any], picture: bytes) -> Section:
    """Whether answers given with 90 % confidence are right 90 times in a hundred."""
    bins, temperature = metrics["calibration"]["bins"], metrics["calibration"]["temperature"]
    confidence = sum(row["n"] * row["confidence"] for row in bins if row["n"]) / metrics["n"]
    as_given = {key: metrics[key] for key in ("ece", "nll", "brier")}
    rows = [_row("as the network gives them", as_given)]
    if temperature is not None:
        rows.append(_row(f"with temperature {temperature['value']:.4g}", temperature["after"]))
    return Section(
        "Calibration",
        (
            paragraph(
                f"On average the network is {percent(confidence)} confident and "
                f"{percent(metrics['accuracy'])} right. A calibrated network's points lie on the "
                "diagonal; below it, it is too sure."
            ),
            figure(
                picture,
                alt="Reliability diagram: share of right answers by confidence, and images a bin",
                width=560 if temperature is None else 900,
            ),
            table(
                ["probabilities", "ECE", "neg. log-likelihood", "Brier score"],
                rows,
                align="lrrr",
                caption=f"ECE: mean distance from the diagonal, {len(bins)} bins. Log-likelihood "
                "in nats. Brier score: squared error summed over the classes, 0 to 2. Less is "
                "better.",
            ),
            paragraph(_about_temperature(metrics)),
        ),
    )


def selective_section(metrics: Mapping[str, Any], picture: bytes) -> Section:
    """How many answers are wrong if only the most confident are given, and what that costs."""
    selective = metrics["selective"]
    return Section(
        "Answering only when sure",
        (
            paragraph(
                "Images can be left to a human where the network is least sure. The further the "
                "curve falls to the left, the more its confidence is worth; where confidence is "
                f"worth nothing it is flat. Area under it (AURC): {selective['aurc']:.4f}, less is "
                "better."
            ),
            figure(
                picture,
                alt="Risk by coverage: share of wrong answers among the most confident ones",
                width=600,
            ),
            *_reject_option(metrics),
        ),
    )


def _row(name: str, figures: Mapping[str, float]) -> list[str]:
    return [name, percent(figures["ece"]), f"{figures['nll']:.4f}", f"{figures['brier']:.4f}"]


def _why_no_validation(metrics: Mapping[str, Any]) -> str:
    """Why no validation images were asked for a temperature and a threshold."""
    asked_for = NOT_ASKED_FOR not in metrics["notes"]
    return NO_VALIDATION if asked_for else "this evaluation was asked not to (--no_calibration)"


def _about_temperature(metrics: Mapping[str, Any]) -> str:
    temperature = metrics["calibration"]["temperature"]
    if temperature is None:
        return f"No temperature was fitted: {_why_no_validation(metrics)}."
    value = temperature["value"]
    before, after = temperature["before"]["nll"], temperature["after"]["nll"]
    on_those = "too sure" if value > 1 else "not sure enough" if value < 1 else "as sure as right"
    outcome = "better" if after < before else "not better"
    return (
        "The temperature divides the logits and leaves every answer as it is. Fitted on "
        f"{images_of(temperature['fitted_on'])} it is {value:.4g}: on those the network was "
        f"{on_those}. On these images the log-likelihood is {outcome} with it "
        f"({before:.4f} before, {after:.4f} after)."
    )


def _reject_option(metrics: Mapping[str, Any]) -> tuple[Html, ...]:
    reject = metrics["selective"]["reject"]
    if reject is None:
        # The temperature comes from the same images, and always does where there are any.
        had_validation = metrics["calibration"]["temperature"] is not None
        why = WHY_NO_THRESHOLD if had_validation else _why_no_validation(metrics)
        return (paragraph(f"No threshold was chosen: {why}."),)
    return (
        paragraph(
            f"The reject option: answers below a confidence of {percent(reject['threshold'])} are "
            f"left to a human. The threshold was chosen on {images_of(reject['chosen_on'])} "
            f"({reject['rule']})."
        ),
        bullets(
            [
                f"It answers {reject['n_kept']:,} of {metrics['n']:,} images "
                f"({percent(reject['coverage'])}) and leaves {reject['n_rejected']:,}.",
                _risk(reject, 1 - metrics["accuracy"]),
                *_missed(reject["missed_tumour"], metrics["missed_tumour"]),
                f"What it costs: of the images left to a human, {reject['rejected_right']:,} would "
                f"have been answered right and {reject['rejected_wrong']:,} wrong.",
            ]
        ),
    )


def _risk(reject: Mapping[str, Any], without: float) -> str:
    if not reject["n_kept"]:
        return "It answers nothing, so that nothing can be said of its answers."
    return (
        f"Of its answers {percent(reject['risk'], reject['risk_ci95'])} are wrong; of all answers "
        f"{percent(without)}."
    )


def _missed(kept: Mapping[str, Any] | None, all_images: Mapping[str, Any] | None) -> list[str]:
    """Missed tumours with and without the option; nothing where there is no negative class."""
    if kept is None or all_images is None:
        return []
    return [
        f"Of the {kept['n']:,} tumours that it answers it misses {kept['count']:,}"
        + (f" ({percent(kept['rate'], kept['ci95'])})" if kept["n"] else "")
        + f"; without it {all_images['count']:,} of {all_images['n']:,} are missed."
    ]
