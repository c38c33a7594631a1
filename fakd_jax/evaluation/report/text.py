"""An evaluation as text: the paper's Table 2, with intervals and missed tumours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fakd_jax.metrics.comparison import BETTER, SIGNIFICANCE, WORSE
from fakd_jax.metrics.detection import MOST_PROBABLE, ON_THESE, ON_VALIDATION
from fakd_jax.reporting.numbers import (
    DASH,
    count,
    decimal,
    milliseconds,
    p_value,
    percent,
    percent_interval,
    points,
)
from fakd_jax.reporting.tables import text_pairs, text_table


def table2(metrics: Mapping[str, Any]) -> str:
    """Lays out an evaluation for a terminal or a text file.

    Args:
      metrics: what `metrics.json` holds, or at least what
        :func:`fakd_jax.metrics.confusion.confusion_metrics` returns.

    Returns:
      Lines that end with a newline.
    """
    provenance = metrics.get("provenance")
    subsets = (metrics.get("subsets") or {}).get("rows")
    blocks = [
        provenance and _heading(provenance),
        _per_class_table(metrics),
        _summary(metrics),
        subsets and _subsets(subsets),
        metrics.get("latency") and _latency(metrics["latency"]),
        provenance and _provenance(provenance),
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _heading(provenance: Mapping[str, Any]) -> str:
    data = provenance["data"]
    return (
        f"{provenance['arch']} on the {provenance['split']} split of {data['name']} "
        f"(version {data['version']})"
    )


def _per_class_table(metrics: Mapping[str, Any]) -> str:
    header = ["class", "images", "precision", "recall", "95 % interval", "specificity"]
    classes = [
        [
            name,
            count(row["support"]),
            percent(row["precision"]),
            percent(row["recall"]),
            percent_interval(row["recall_ci95"]),
            percent(row["specificity"]),
            percent(row["f1"]),
            decimal(row.get("auroc")),
        ]
        for name, row in metrics["per_class"].items()
    ]
    averages = []
    for name in ("macro", "weighted"):
        precision, recall, f1 = (
            percent(metrics[name][key]) for key in ("precision", "recall", "f1")
        )
        auroc = decimal(metrics["auroc"]["macro"]) if name == "macro" and "auroc" in metrics else ""
        images = count(metrics["n"])
        averages.append([f"{name} average", images, precision, recall, "", "", f1, auroc])
    return text_table([*header, "F1", "AUROC"], classes, averages)


def _summary(metrics: Mapping[str, Any]) -> str:
    """One metric per line; those that need probabilities or another model only where known."""
    wrong = metrics["n"] - round(metrics["accuracy"] * metrics["n"])
    accuracy = percent(metrics["accuracy"], metrics["accuracy_ci95"])
    accuracy += f"  ({count(wrong, metrics['n'])} wrong)"
    if grouped := metrics.get("accuracy_ci95_grouped"):
        accuracy += f"; by {metrics['bootstrap']['unit']}s {percent_interval(grouped)}"
    balanced = percent(metrics["balanced_accuracy"], metrics.get("balanced_accuracy_ci95"))
    missed, alarms = metrics["missed_tumour"], metrics["false_alarm"]
    negative = missed["negative_class"] if missed else ""
    pairs = [
        ("accuracy", accuracy),
        ("balanced accuracy", balanced),
        *_kappa(metrics),
        ("missed tumours", _errors(missed, "tumour", f"predicted as {negative}")),
        ("false alarms", _errors(alarms, negative, "predicted as a tumour")),
    ]
    if tumour := metrics.get("tumour"):
        pairs += [("tumour or not", operating_point(row)) for row in tumour["points"]]
        area = decimal(tumour["average_precision"], tumour["average_precision_ci95"])
        chance = percent(tumour["prevalence"]["rate"])
        pairs.append(("average precision", f"{area}  (tumour or not; chance {chance})"))
    if "ece" in metrics:
        pairs += _of_probabilities(metrics)
    if metrics.get("foreign_and_poor"):
        pairs += _foreign_and_poor(metrics["foreign_and_poor"])
    if metrics.get("comparison"):
        unit = metrics["bootstrap"]["unit"]
        pairs.append(("comparison", _comparison(metrics["comparison"], unit)))
    return "\n".join([text_pairs(pairs), *(f"note: {note}" for note in metrics["notes"])])


def _kappa(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Cohen's kappa, where it is among the metrics."""
    if "cohen_kappa" not in metrics:
        return []
    kappa = decimal(metrics["cohen_kappa"], metrics["cohen_kappa_ci95"])
    return [("Cohen's kappa", f"{kappa}  (1 perfect, 0 chance)")]


def _errors(share: Mapping[str, Any] | None, images: str, what: str) -> str:
    """How many images of how many were predicted wrong, and of which classes."""
    if share is None:
        return f"{DASH}  (no class is named as tumour-free)"
    if not share["n"]:
        return f"{DASH}  (no {images} among the images)"
    by_class = [f"{number} {name}" for name, number in share["by_class"].items() if number]
    text = f"{count(share['count'], share['n'])} {what}: {percent(share['rate'], share['ci95'])}"
    return f"{text}  ({', '.join(by_class)})" if by_class else text


def chosen_threshold(point: Mapping[str, Any]) -> str:
    """How the threshold of an operating point (`tumour.points` of `metrics.json`) was chosen."""
    if point["chosen"] == MOST_PROBABLE:
        return f"by the {MOST_PROBABLE}"
    target = percent(point["target"], digits=1)
    images = {ON_VALIDATION: "validation images", ON_THESE: "these images"}[point["chosen"]]
    return f"threshold with specificity {target} on {images}"


def operating_point(point: Mapping[str, Any]) -> str:
    """Sensitivity, specificity and predictive values of one operating point, in three lines."""
    found, spared = point["sensitivity"], point["specificity"]
    below = f"\n{'':20} "
    values = [
        f"at {percent(row['prevalence'], digits=1)} tumours PPV "
        f"{percent(row['ppv'], row['ppv_ci95'], digits=1)}, NPV "
        f"{percent(row['npv'], row['npv_ci95'])}"
        for row in point["predictive_values"]
    ]
    rates = (
        f"sensitivity {percent(found['rate'], found['ci95'])}, "
        f"specificity {percent(spared['rate'], spared['ci95'])}"
    )
    return below.join([f"{chosen_threshold(point)}:", rates, *values])


def _of_probabilities(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    auroc, temperature = metrics["auroc"], metrics["calibration"]["temperature"]
    reject = metrics["selective"]["reject"]
    pairs = [
        (
            "AUROC",
            f"{decimal(auroc['macro'], auroc['macro_ci95'])} (macro), "
            f"{decimal(auroc['tumour'], auroc['tumour_ci95'])} (tumour or not)",
        ),
        (
            "calibration error",
            f"{percent(metrics['ece'], metrics['ece_ci95'])}  (ECE, 15 bins; "
            f"{percent(metrics['ece_if_calibrated'])} expected if calibrated)",
        ),
        ("neg. log-likelihood", f"{decimal(metrics['nll'], metrics['nll_ci95'])} nats"),
        ("Brier score", f"{decimal(metrics['brier'], metrics['brier_ci95'])}  (0 to 2)"),
    ]
    if temperature:
        after = temperature["after"]
        text = (
            f"ECE {percent(after['ece'], after['ece_ci95'])}, {decimal(after['nll'])} nats, Brier "
            f"{decimal(after['brier'])}  (T = {temperature['value']:.3f} from "
            f"{count(temperature['fitted_on']['n'])} validation images)"
        )
        pairs.append(("with temperature", text))
    if reject:
        missed = reject["missed_tumour"]
        text = (
            f"{count(reject['n_rejected'])} below {reject['threshold']:.3f} abstained "
            f"({count(reject['rejected_right'])} right); {count(reject['n_kept'])} kept, "
            f"{percent(reject['risk'], reject['risk_ci95'])} wrong"
            + (f", {count(missed['count'])} tumours missed" if missed else "")
        )
        pairs.append(("reject option", text))
    return pairs


def _foreign_and_poor(assessed: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How many images are unlike the training images to the network, and how many are poor."""
    foreign, poor = assessed["foreign"], assessed["poor"]
    reasons = ", ".join(f"{number} {reason}" for reason, number in poor["reasons"].items())
    return [
        (
            "foreign images",
            f"{count(foreign['count'], foreign['n'])} above {decimal(foreign['threshold'])}: "
            f"{percent(foreign['rate'], foreign['ci95'])}  ({count(foreign['wrong'])} wrong)",
        ),
        (
            "poor images",
            f"{count(poor['count'], poor['n'])}: {percent(poor['rate'], poor['ci95'])}"
            f"  ({count(poor['wrong'])} wrong{f'; {reasons}' if reasons else ''})",
        ),
    ]


def verdict_sentence(comparison: Mapping[str, Any]) -> str:
    """The verdict of `comparison` of `metrics.json` in words."""
    if comparison["verdict"] == BETTER:
        return "This network is the more accurate one."
    if comparison["verdict"] == WORSE:
        return "The other network is the more accurate one."
    interval = comparison["difference_ci95"]
    if interval and (interval[0] <= 0 <= interval[1]) != (
        comparison["sign_flip_p"] >= SIGNIFICANCE
    ):
        return "Test and interval disagree: the data do not settle which network is more accurate."
    return "The data do not settle which network is more accurate."


def _comparison(comparison: Mapping[str, Any], unit: str) -> str:
    """The difference to another model, its test, and whether they settle which is better."""
    other, below = comparison["with"], f"\n{'':20} "
    return (
        f"{points(comparison['difference'], comparison['difference_ci95'])} points to "
        f"{other['arch']} ({other['config']}):{below}"
        f"{count(comparison['only_this_right'])} right only here, "
        f"{count(comparison['only_other_right'])} there; exact test by {unit}: "
        f"{p_value(comparison['sign_flip_p'], named=True)}{below}{verdict_sentence(comparison)}"
    )


def _subsets(rows: Sequence[Mapping[str, Any]]) -> str:
    """The images with and without a duplicate in training, side by side."""

    def missed(share: Mapping[str, Any] | None) -> str:
        return count(share["count"], share["n"]) if share else DASH

    metrics = [
        ["number", *(count(row["n"]) for row in rows)],
        ["duplicate groups", *(count(row["groups"]) for row in rows)],
        ["accuracy", *(percent(row["accuracy"], row["accuracy_ci95"]) for row in rows)],
        ["  by groups", *(percent_interval(row["accuracy_ci95_grouped"]) for row in rows)],
        ["balanced accuracy", *(percent(row["balanced_accuracy"]) for row in rows)],
        ["missed tumours", *(missed(row["missed_tumour"]) for row in rows)],
    ]
    return text_table(["images", *(row["name"] for row in rows)], metrics)


def _latency(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        f"latency, batch {row['batch']:<3} median {milliseconds(row['median_ms'])}, "
        f"95th percentile {milliseconds(row['p95_ms'])}, "
        f"{milliseconds(row['median_ms_per_image'])} per image ({row['repeats']} repeats)"
        for row in rows
    ]
    return "\n".join([*lines, f"on {rows[0]['device']} in {rows[0]['dtype']}"])


def _provenance(provenance: Mapping[str, Any]) -> str:
    data = provenance["data"]
    trained_on = {True: "the training data", False: "not the training data", None: "unknown"}
    pairs = [
        ("checkpoint", provenance["checkpoint"]),
        ("weights", f"sha256 {provenance['weights_sha256'][:16]}…"),
        ("config", provenance["config"] or DASH),
        ("batch norm", (provenance["trained"] or {}).get("batch_statistics", DASH)),
        (
            "data",
            f"fingerprint {data['fingerprint'][:16]}… ({trained_on[data['same_as_training']]}); "
            f"split from {provenance['split_origin']}",
        ),
        ("software", f"fakd_jax {provenance['package_version']}"),
    ]
    if (intensity := provenance["preprocessing"].get("intensity", "none")) != "none":
        pairs.append(("intensity", intensity))
    return text_pairs(pairs, width=12)
