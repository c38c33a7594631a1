"""What the figures of an evaluation do not say: only what is true of this one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fakd_jax.evaluation.report.text import percent
from fakd_jax.evaluation.report.wording import images_of

FEW_IMAGES = 100
"""Below which one image of a class weighs more than a percentage point."""


def caveats(metrics: Mapping[str, Any], settings: Mapping[str, Any] | None) -> list[str]:
    """Derives from an evaluation's own facts what must not be read into it.

    Args:
      metrics: what `metrics.json` holds.
      settings: the training's configuration; None if it is not known.

    Returns:
      Sentences, the weightiest first.

    Raises:
      KeyError: `metrics` lacks a key.
    """
    return [
        *_about_the_data(metrics),
        *_about_the_choice(metrics),
        *_about_the_numbers(metrics, settings),
        "An accuracy is no clinical benefit. Whether a patient fares better if somebody sees these "
        "answers can only be learnt from a study of that.",
    ]


def _about_the_data(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Copies, patients, and whose images these are."""
    data = metrics["provenance"]["data"]
    yield from _about_copies(metrics)
    if data["source"] == "phantom":
        yield "The images are phantoms, drawn by a program. The figures say nothing of patients."
    else:
        yield (
            "The data names no patients. Slices of one patient can lie on both sides of the split, "
            "which makes the figures too good; an audit finds copies, not neighbouring slices."
        )
        yield (
            "The images come from the source named above. Other scanners, sequences, hospitals "
            "and patients can give other figures."
        )
    if data["same_as_training"] is False:
        yield (
            "This is not the data that the network was trained on. Whether some of its images are "
            "among those trained on is not known."
        )
    if data["same_as_training"] is None:
        yield "Which data the network was trained on is not known; these images may be among it."


def _about_copies(metrics: Mapping[str, Any]) -> Iterator[str]:
    """How many images have a duplicate in training, and whether the figures count those."""
    subsets = metrics["subsets"]
    if subsets is None:
        yield (
            "Nobody has looked for copies of these images among the training images. If there are "
            "any, the figures are too good."
        )
    elif subsets["rows"] is None:
        yield (
            "The data has been audited, but which of its images, if any, the network was trained "
            "on is not known. If these images have copies among them, the figures are too good."
        )
    else:
        yield from _about_duplicates({row["name"]: row for row in subsets["rows"]}, metrics["n"])


def _about_duplicates(rows: Mapping[str, Mapping[str, Any]], n: int) -> Iterator[str]:
    """How many of the images tested have a duplicate; the figures are of n of them."""
    tested, duplicates, rest = (
        rows["all"]["n"],
        rows["duplicate in training"]["n"],
        rows["no duplicate"],
    )
    set_apart = tested - n  # the rows count them, the other figures do not
    if not duplicates:
        return
    found = f"{duplicates:,} of {tested:,} images have a duplicate among the training images."
    if set_apart:
        yield (
            f"{found} {set_apart:,} test images with a duplicate were set apart, and the figures of "
            "this page leave them out; only the table of copies counts them."
        )
    elif rest["n"]:
        yield (
            f"{found} The figures of all images flatter; the accuracy without duplicates is "
            f"{percent(rest['accuracy'], rest['accuracy_ci95'])}."
        )
    else:
        yield "Every image has a duplicate among the training images: this measures memory."


def _about_the_choice(metrics: Mapping[str, Any]) -> Iterator[str]:
    """What was chosen by looking at which images."""
    provenance = metrics["provenance"]
    split, trained = provenance["split"], provenance["trained"] or {}
    if split == "train":
        yield "These are training images: the figures tell what was learnt by heart too."
    elif split == "val":
        yield "These are validation images, which chose the epoch: the figures are too good."
    elif trained.get("val_accuracy") is not None:
        yield (
            "The epoch was chosen by the accuracy on the validation images "
            f"({percent(trained['val_accuracy'])}), so that this one is too good, and no second "
            "measurement."
        )
    if split == "test" and provenance["split_origin"] == "the data itself":
        yield (
            "The test images are those that the data itself sets apart. A run that chose its own "
            "could have trained on them."
        )
    temperature, reject = metrics["calibration"]["temperature"], metrics["selective"]["reject"]
    if temperature is not None:
        yield (
            f"The temperature was fitted on {images_of(temperature['fitted_on'])}, and is as "
            "uncertain as they are few."
        )
    if reject is not None:
        yield (
            f"The reject option's threshold was chosen on {images_of(reject['chosen_on'])}. What "
            "it was chosen for there, it need not keep elsewhere."
        )


def _about_the_numbers(
    metrics: Mapping[str, Any], settings: Mapping[str, Any] | None
) -> Iterator[str]:
    """One run, what the intervals leave out, few images, and how common the classes are."""
    seed = "" if settings is None else f" (seed {settings['seed']})"
    yield (
        f"This is one training run{seed}. Another seed would give other figures, and the intervals "
        "do not tell how different."
    )
    unit = metrics["bootstrap"]["unit"]
    yield (
        "The intervals tell how much hangs on which images were drawn, and nothing else. "
        + (
            "They take every image for independent of the others; where images are copies of each "
            "other or of the same patient, the truth is less certain."
            if unit == "image"
            else "Those by bootstrap keep copies together; Wilson's take every image for "
            "independent. Neither knows which images are of the same patient."
        )
    )
    for name, figures in metrics["per_class"].items():
        if 0 < figures["support"] < FEW_IMAGES:
            yield (
                f"{name} has {figures['support']:,} images: one more or less right moves its "
                f"sensitivity by {100 / figures['support']:.1f} percentage points."
            )
    if metrics["false_alarm"] is not None:
        negative = metrics["false_alarm"]
        share = percent(negative["n"] / metrics["n"])
        yield (
            f"{share} of these images are {negative['negative_class']}. Accuracy and precision "
            "depend on how common each class is, and where patients come from they are not as "
            "common as here."
        )
