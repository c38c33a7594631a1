"""Reports as text: the paper's Table 2, with the intervals and missed tumours that it lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fakd_jax.reporting.tables import text_table

DASH = "–"


def table2(metrics: Mapping[str, Any]) -> str:
    """Lays out the figures of an evaluation for a terminal or a text file.

    Args:
      metrics: as of :func:`fakd_jax.metrics.classification.classification_metrics`; `latency` and
        `provenance` of :func:`fakd_jax.evaluation.run.evaluate_checkpoint` are added if there.

    Returns:
      Lines that end with a newline.
    """
    blocks = [
        *([_heading(metrics["provenance"])] if "provenance" in metrics else []),
        _per_class_table(metrics),
        _summary(metrics),
        *([_subsets(rows)] if (rows := (metrics.get("subsets") or {}).get("rows")) else []),
        *([_latency(metrics["latency"])] if metrics.get("latency") else []),
        *([_provenance(metrics["provenance"])] if "provenance" in metrics else []),
    ]
    return "\n\n".join(blocks) + "\n"


def percent(value: float | None, interval: Sequence[float] | None = None) -> str:
    """A share as a percentage with two decimals, its interval behind it; a dash for None.

    >>> percent(1304 / 1311, (0.98902, 0.99741))
    '99.47 % [98.90, 99.74]'
    """
    if value is None:
        return DASH
    text = f"{100 * value:.2f} %"
    return f"{text} {_interval(interval)}" if interval else text


def _interval(interval: Sequence[float] | None) -> str:
    return f"[{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]" if interval else DASH


def _heading(provenance: Mapping[str, Any]) -> str:
    data = provenance["data"]
    return (
        f"{provenance['arch']} on the {provenance['split']} split of {data['name']} "
        f"(version {data['version']})"
    )


def _per_class_table(metrics: Mapping[str, Any]) -> str:
    header = [
        "class",
        "images",
        "precision",
        "recall",
        "its 95 % interval",
        "specificity",
        "F1",
        "AUROC",
    ]
    classes = [
        [
            name,
            f"{figures['support']:,}",
            percent(figures["precision"]),
            percent(figures["recall"]),
            _interval(figures["recall_ci95"]),
            percent(figures["specificity"]),
            percent(figures["f1"]),
            _area(figures.get("auroc")),
        ]
        for name, figures in metrics["per_class"].items()
    ]
    averages = []
    for name in ("macro", "weighted"):
        figures = metrics[name]
        precision, recall, f1 = map(
            percent, (figures[key] for key in ("precision", "recall", "f1"))
        )
        area = _area(metrics["auroc"]["macro"]) if name == "macro" and "auroc" in metrics else ""
        row = [f"{name} average", f"{metrics['n']:,}", precision, recall, "", "", f1, area]
        averages.append(row)
    return text_table(header, classes, averages)


def _summary(metrics: Mapping[str, Any]) -> str:
    """One figure a line; those that need probabilities, or another model, where they are there."""
    pairs = [
        *_counted(metrics),
        *(_of_probabilities(metrics) if "ece" in metrics else []),
        *([("compared", _comparison(metrics["comparison"]))] if metrics.get("comparison") else []),
    ]
    lines = [f"{name:<20} {text}" for name, text in pairs]
    lines += [f"note: {note}" for note in metrics["notes"]]
    return "\n".join(lines)


def _counted(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    wrong = metrics["n"] - round(metrics["accuracy"] * metrics["n"])
    grouped = metrics.get("accuracy_ci95_grouped")
    return [
        (
            "accuracy",
            f"{percent(metrics['accuracy'], metrics['accuracy_ci95'])}"
            f"  ({wrong:,} of {metrics['n']:,} wrong)"
            + (f"; by duplicate groups {_interval(grouped)}" if grouped else ""),
        ),
        (
            "balanced accuracy",
            percent(metrics["balanced_accuracy"], metrics.get("balanced_accuracy_ci95")),
        ),
        ("missed tumours", _missed(metrics["missed_tumour"])),
        ("false alarms", _false_alarms(metrics["false_alarm"])),
    ]


def _of_probabilities(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    auroc, temperature = metrics["auroc"], metrics["calibration"]["temperature"]
    reject = metrics["selective"]["reject"]
    return [
        (
            "AUROC",
            f"{_area(auroc['macro'], auroc['macro_ci95'])} (macro), "
            f"{_area(auroc['tumour'], auroc['tumour_ci95'])} (tumour or not)",
        ),
        ("calibration error", f"{percent(metrics['ece'])}  (ECE, 15 bins)"),
        ("neg. log-likelihood", f"{metrics['nll']:.4f} nats"),
        ("Brier score", f"{metrics['brier']:.4f}  (0 to 2)"),
        *([("with a temperature", _temperature(temperature))] if temperature else []),
        *([("reject option", _reject(reject))] if reject else []),
    ]


def _temperature(temperature: Mapping[str, Any]) -> str:
    """What dividing the logits by one number makes of the three figures above."""
    after = temperature["after"]
    return (
        f"ECE {percent(after['ece'])}, {after['nll']:.4f} nats, Brier {after['brier']:.4f}  "
        f"(T = {temperature['value']:.3f}, by {temperature['fitted_on']['n']:,} validation images)"
    )


def _area(value: float | None, interval: Sequence[float] | None = None) -> str:
    """An area under a curve with four decimals, its interval behind it; a dash for None."""
    if value is None:
        return DASH
    return f"{value:.4f}" + (f" [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else "")


def _missed(missed: Mapping[str, Any] | None) -> str:
    """Tumours called healthy: how many, of how many, and which."""
    if missed is None:
        return f"{DASH}  (no class is named as free of tumour)"
    if not missed["n"]:
        return f"{DASH}  (no tumour among the images)"
    return _shares_by_class(missed, f"called {missed['negative_class']}")


def _false_alarms(alarms: Mapping[str, Any] | None) -> str:
    """Healthy images called a tumour: how many, of how many, and which."""
    if alarms is None:
        return f"{DASH}  (no class is named as free of tumour)"
    if not alarms["n"]:
        return f"{DASH}  (no {alarms['negative_class']} among the images)"
    return _shares_by_class(alarms, "called a tumour")


def _shares_by_class(share: Mapping[str, Any], what: str) -> str:
    text = f"{share['count']:,} of {share['n']:,} {what}: {percent(share['rate'], share['ci95'])}"
    by_class = [f"{count} {name}" for name, count in share["by_class"].items() if count]
    return f"{text}  ({', '.join(by_class)})" if by_class else text


def _reject(reject: Mapping[str, Any]) -> str:
    """What giving up the least confident answers costs, and what it gains."""
    missed = reject["missed_tumour"]
    left = f", {missed['count']:,} tumours missed" if missed else ""
    return (
        f"{reject['n_rejected']:,} below {reject['threshold']:.3f} given up "
        f"({reject['rejected_right']:,} right); {reject['n_kept']:,} kept, "
        f"{percent(reject['risk'], reject['risk_ci95'])} wrong{left}"
    )


def _comparison(comparison: Mapping[str, Any]) -> str:
    """The difference to another model, and whether chance would give as much."""
    other, interval = comparison["with"], comparison["difference_ci95"]
    return (
        f"{100 * comparison['difference']:+.2f} points"
        + (f" {_interval(interval)}" if interval else "")
        + f" to {other['arch']} ({other['config']}): {comparison['only_this_right']:,} right here, "
        f"{comparison['only_other_right']:,} there; McNemar p = {comparison['mcnemar_p']:.2g}"
    )


def _subsets(rows: Sequence[Mapping[str, Any]]) -> str:
    """The images with and without a copy in training, side by side."""
    header = ["images", *(row["name"] for row in rows)]
    figures = [
        ["number", *(f"{row['n']:,}" for row in rows)],
        ["duplicate groups", *(f"{row['groups']:,}" for row in rows)],
        ["accuracy", *(percent(row["accuracy"], row["accuracy_ci95"]) for row in rows)],
        ["  by groups", *(_interval(row["accuracy_ci95_grouped"]) for row in rows)],
        ["balanced accuracy", *(percent(row["balanced_accuracy"]) for row in rows)],
        ["missed tumours", *(_missed_of(row["missed_tumour"]) for row in rows)],
    ]
    return text_table(header, figures)


def _missed_of(missed: Mapping[str, Any] | None) -> str:
    """As short as a cell of a table must be."""
    return f"{missed['count']:,} of {missed['n']:,}" if missed else DASH


def _latency(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        f"latency, batch {row['batch']:<3} median {row['median_ms']:.2f} ms, "
        f"95th percentile {row['p95_ms']:.2f} ms, {row['median_ms_per_image']:.2f} ms an image "
        f"({row['repeats']} repeats)"
        for row in rows
    ]
    return "\n".join([*lines, f"on {rows[0]['device']} in {rows[0]['dtype']}"])


def _provenance(provenance: Mapping[str, Any]) -> str:
    data = provenance["data"]
    trained_on = {True: "the data trained on", False: "not the data trained on", None: "unknown"}
    pairs = [
        ("checkpoint", provenance["checkpoint"]),
        ("weights", f"sha256 {provenance['weights_sha256'][:16]}…"),
        ("config", provenance["config"] or DASH),
        (
            "data",
            f"fingerprint {data['fingerprint'][:16]}… ({trained_on[data['same_as_training']]}); "
            f"split from {provenance['split_origin']}",
        ),
        ("software", f"fakd_jax {provenance['package_version']}"),
    ]
    return "\n".join(f"{name:<12} {text}" for name, text in pairs)
