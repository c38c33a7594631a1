"""Sections of the HTML report on what lies behind the figures: mistakes, training, provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fakd_jax.evaluation.report.mistakes import Mistake
from fakd_jax.reporting.images import shrink
from fakd_jax.reporting.markup import (
    Html,
    Inline,
    Section,
    Thumbnail,
    code,
    definitions,
    details,
    figure,
    paragraph,
    strong,
    subheading,
    table,
    thumbnails,
)

NOT_KNOWN = "not known"
LONGEST_SIDE = 256


def mistakes_section(metrics: Mapping[str, Any], mistakes: Sequence[Mistake]) -> Section:
    """Wrong answers as pictures, in the order given."""
    right = sum(row[index] for index, row in enumerate(metrics["confusion_matrix"]))
    wrong = metrics["n"] - right
    if not wrong:
        return Section("The worst mistakes", (paragraph("There are none: every answer is right."),))
    unknown = "" if all(mistake.duplicate is not None for mistake in mistakes) else (
        " Whether they have duplicates among the training images is not known."
    )  # fmt: skip
    return Section(
        "The worst mistakes",
        (
            paragraph(
                f"{len(mistakes):,} of {wrong:,} wrong answers, the most confident first.{unknown}"
            ),
            thumbnails(_thumbnail(rank, mistake) for rank, mistake in enumerate(mistakes, start=1)),
        ),
    )


def curves_section(picture: bytes | None) -> Section:
    """Losses and accuracy by epoch."""
    if picture is None:
        content = paragraph("Not known: the checkpoint lies in no workdir with a record of epochs.")
    else:
        content = figure(
            picture, alt="Losses and accuracy by epoch, in training and validation", width=900
        )
    return Section("Learning curves", (content,))


def provenance_section(metrics: Mapping[str, Any], settings: Mapping[str, Any] | None) -> Section:
    """What was trained on what, with what, and how fast it answers."""
    provenance = metrics["provenance"]
    return Section(
        "What was trained on what",
        (
            subheading("Network"),
            definitions(_network(provenance, settings)),
            subheading("Data"),
            definitions(_data(provenance)),
            subheading("Machine"),
            definitions(_machine(provenance)),
            _latency(metrics["latency"]),
            *(
                []
                if settings is None
                else [
                    details(
                        "The training's whole configuration",
                        definitions((name, code(repr(value))) for name, value in flat(settings)),
                    )
                ]
            ),
        ),
    )


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as dotted names and values, in their order.

    >>> list(flat({"seed": 0, "data": {"split": "official"}}))
    [('seed', 0), ('data.split', 'official')]
    """
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _thumbnail(rank: int, mistake: Mistake) -> Thumbnail:
    probabilities = ", ".join(
        f"{name} {100 * share:.1f}\u00a0%" for name, share in mistake.probabilities.items()
    )
    lines: list[Inline] = [
        strong(f"{rank}. {mistake.truth}, called {mistake.prediction}"),
        probabilities,
        code(mistake.id),
    ]
    if mistake.duplicate is not None:
        lines.append(
            f"duplicate in training: {mistake.duplicate}"
            if mistake.duplicate
            else "no duplicate in training"
        )
    return Thumbnail(
        shrink(mistake.image, LONGEST_SIDE),
        f"{mistake.id}: {mistake.truth}, called {mistake.prediction}",
        lines,
    )


def _listed(settings: Mapping[str, Any]) -> str:
    return "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in flat(settings))


def _network(
    provenance: Mapping[str, Any], settings: Mapping[str, Any] | None
) -> list[tuple[str, Inline]]:
    trained = provenance["trained"]
    return [
        ("architecture", provenance["arch"]),
        ("head", provenance["head"] or NOT_KNOWN),
        ("config", provenance["config"] or f"{NOT_KNOWN}: the checkpoint does not name one"),
        ("checkpoint", code(provenance["checkpoint"])),
        ("sha256 of the weights", code(provenance["weights_sha256"])),
        (
            "trained",
            _listed(trained) if trained else f"{NOT_KNOWN}: the checkpoint does not say",
        ),
        (
            "seed of the training",
            f"{NOT_KNOWN}: the checkpoint lies in no workdir with a configuration"
            if settings is None
            else str(settings["seed"]),
        ),
    ]


def _data(provenance: Mapping[str, Any]) -> list[tuple[str, Inline]]:
    data, preprocessing = provenance["data"], provenance["preprocessing"]
    known = {
        True: "yes",
        False: "no: it was trained on other data",
        None: f"{NOT_KNOWN}: the checkpoint does not say",
    }
    return [
        ("name and version", f"{data['name']}, {data['version']}"),
        ("source", code(data["source"])),
        ("fingerprint", code(data["fingerprint"])),
        ("same as trained on", known[data["same_as_training"]]),
        ("split", f"{provenance['split']}, from {provenance['split_origin']}"),
        ("preprocessing", _listed(preprocessing)),
    ]


def _machine(provenance: Mapping[str, Any]) -> list[tuple[str, Inline]]:
    hardware = provenance["hardware"]
    return [
        (
            "device",
            f"{hardware['device']}; platform {hardware['platform']}, devices: "
            f"{hardware['device_count']}, usable processors: {hardware['cpu_count']}",
        ),
        ("computed in", f"{provenance['dtype']}, {provenance['batch_size']} images at once"),
        (
            "software",
            f"fakd_jax {provenance['package_version']}, jax {hardware['jax']}, "
            f"Python {hardware['python']}",
        ),
    ]


def _latency(rows: Sequence[Mapping[str, Any]] | None) -> Html:
    if rows is None:
        return paragraph("How long the network takes was not measured.")
    return table(
        ["images at once", "median", "95th percentile", "an image", "repeats"],
        [
            [
                f"{row['batch']:,}",
                f"{row['median_ms']:.2f} ms",
                f"{row['p95_ms']:.2f} ms",
                f"{row['median_ms_per_image']:.2f} ms",
                f"{row['repeats']:,}",
            ]
            for row in rows
        ],
        align="lrrrr",
        caption="How long the network takes, without decoding and resizing",
    )
