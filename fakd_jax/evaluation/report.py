"""Reports as text: the paper's Table 2, with the intervals and missed tumours that it lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DASH = "–"


def table2(metrics: Mapping[str, Any]) -> str:
    """Lays out the figures of an evaluation for a terminal or a text file.

    Args:
      metrics: as of :func:`fakd_jax.evaluation.metrics.classification_metrics`; `latency` and
        `provenance` of :func:`fakd_jax.evaluation.run.evaluate_checkpoint` are added if there.

    Returns:
      Lines that end with a newline.
    """
    blocks = [
        *([_heading(metrics["provenance"])] if "provenance" in metrics else []),
        _per_class_table(metrics),
        _summary(metrics),
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
    header = ["class", "images", "precision", "recall", "its 95 % interval", "F1"]
    classes = [
        [
            name,
            f"{figures['support']:,}",
            percent(figures["precision"]),
            percent(figures["recall"]),
            _interval(figures["recall_ci95"]),
            percent(figures["f1"]),
        ]
        for name, figures in metrics["per_class"].items()
    ]
    averages = []
    for name in ("macro", "weighted"):
        figures = metrics[name]
        precision, recall, f1 = map(
            percent, (figures[key] for key in ("precision", "recall", "f1"))
        )
        averages.append([f"{name} average", f"{metrics['n']:,}", precision, recall, "", f1])
    return ruled([header], classes, averages)


def ruled(*sections: list[list[str]]) -> str:
    """Columns of equal width, rules between the sections; the first column to the left."""
    columns = zip(*(row for section in sections for row in section), strict=True)
    widths = [max(map(len, column)) for column in columns]
    rule = "\n" + "  ".join("-" * width for width in widths) + "\n"

    def line(row: list[str]) -> str:
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return "  ".join(cells)

    return rule.join("\n".join(map(line, section)) for section in sections)


def _summary(metrics: Mapping[str, Any]) -> str:
    wrong = metrics["n"] - round(metrics["accuracy"] * metrics["n"])
    pairs = [
        (
            "accuracy",
            f"{percent(metrics['accuracy'], metrics['accuracy_ci95'])}"
            f"  ({wrong:,} of {metrics['n']:,} wrong)",
        ),
        ("balanced accuracy", percent(metrics["balanced_accuracy"])),
        ("missed tumours", _missed(metrics["missed_tumour"])),
    ]
    if "ece" in metrics:
        pairs.append(("calibration error", f"{percent(metrics['ece'])}  (ECE, 15 bins)"))
        pairs.append(("neg. log-likelihood", f"{metrics['nll']:.4f} nats"))
    lines = [f"{name:<20} {text}" for name, text in pairs]
    lines += [f"note: {note}" for note in metrics["notes"]]
    return "\n".join(lines)


def _missed(missed: Mapping[str, Any] | None) -> str:
    """Tumours called healthy: how many, of how many, and which."""
    if missed is None:
        return f"{DASH}  (no class is named as free of tumour)"
    if not missed["n"]:
        return f"{DASH}  (no tumour among the images)"
    text = (
        f"{missed['count']:,} of {missed['n']:,} called {missed['negative_class']}: "
        f"{percent(missed['rate'], missed['ci95'])}"
    )
    by_class = [f"{count} {name}" for name, count in missed["by_class"].items() if count]
    return f"{text}  ({', '.join(by_class)})" if by_class else text


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
