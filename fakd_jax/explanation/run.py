"""Explains images one by one, writes each as soon as it is done, and continues where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fakd_jax.data.preprocessing import resize
from fakd_jax.errors import UserError
from fakd_jax.explanation.api import ImageExplanation, explain_prepared, image_seed
from fakd_jax.explanation.benchmark.code import measured_by
from fakd_jax.explanation.files import (
    array_bytes,
    decision_record,
    explanation_record,
    json_bytes,
    label_map_bytes,
    require_utf8,
)
from fakd_jax.explanation.journal import open_journal
from fakd_jax.explanation.report.attribution import layer
from fakd_jax.explanation.report.figure import (
    describe_fit,
    describe_reliability,
    figure_png,
    shorten,
)
from fakd_jax.explanation.report.index import write_index
from fakd_jax.explanation.report.reading import evidence_in_top
from fakd_jax.explanation.report.thumbnails import thumbnail_of
from fakd_jax.explanation.result import Explainer, Explanation
from fakd_jax.explanation.scene.builder import SceneBuilder
from fakd_jax.explanation.subjects import Subject
from fakd_jax.explanation.target import TargetRule
from fakd_jax.inference.network import Network
from fakd_jax.reporting.images import png_bytes
from fakd_jax.runs.files import (
    ATTRIBUTION_FILE,
    EXPLANATION_FIGURE_FILE,
    EXPLANATION_FILE,
    ORIGINAL_ATTRIBUTION_FILE,
    ORIGINAL_LAYER_FILE,
    OVERLAY_FILE,
    SEGMENTS_FILE,
    THUMBNAIL_FILE,
)
from fakd_jax.runtime.atomic_files import remove, write_whole
from fakd_jax.runtime.hashing import sha256

FORMAT_VERSION = 4
_LISTED = (
    *("id", "true_class", "prediction", "probability", "explained_class", "contrast_class"),
    *("fidelity_r2", "evidence_in_top", "reading"),
)
"""What an entry of the list takes from the record."""
PICTURES = (EXPLANATION_FIGURE_FILE, OVERLAY_FILE, ORIGINAL_LAYER_FILE, ORIGINAL_ATTRIBUTION_FILE)
"""What `figures` decides on: all files whose size grows with the original image."""


def explain_images(
    subjects: Sequence[Subject],
    network: Network,
    explainer: Explainer,
    scene_builder: SceneBuilder,
    output: Path,
    *,
    rule: TargetRule | None = None,
    top: int = 3,
    seed: int = 0,
    data: Mapping[str, Any] | None = None,
    figures: bool = True,
    restart: bool = False,
    on_predictions: Callable[[int], None] | None = None,
    on_known: Callable[[int], None] | None = None,
    on_done: Callable[[Mapping[str, Any], Explanation], None] | None = None,
) -> None:
    """Explains a class of each image and writes the explanations.

    Images are first resized to the network's input, as in training. Every image gets a folder
    under `output` with `thumbnail.png`, `segments.png` (label map, 16 bits: 0 is background,
    superpixel s is s + 1), for methods that weigh pixels `attribution.npy` (float32 ``[S, S]``),
    and `explanation.json`; unless `figures` is off, `figure.png` and, at the size and aspect of the
    original ``[H, W]``, `attribution_original.npy` (float32), `attribution_original.png` (its
    colours, RGBA) and `overlay.png` (these over the image). Files are replaced whole and
    `explanation.json` is removed first and written last: after an interruption, a folder that has
    it is complete.

    Then a line is appended to `output/explanations.jsonl`. Images listed there are not explained
    again, unless a loose file has changed since, so that an interrupted call is continued by
    repeating it. When all are done, pages of HTML from `output/index.html` on show them.

    Args:
      subjects: the images; their ids must differ.
      network: the network to explain.
      explainer: the method.
      scene_builder: superpixels and infill.
      output: a folder, created if needed.
      rule: which class; None for the predicted one.
      top: superpixels per panel of the figure, and in `top` of the record; at least 1.
      seed: not negative. Each image's own seed derives from it and the image's pixels, so that
        neither order nor names matter.
      data: where the images come from, as JSON-able values; None for loose files.
      figures: whether to draw pictures, which take most of the space and often of the time.
      restart: explain all images, and forget what the folder lists.
      on_predictions: called with the number of images just predicted.
      on_known: called at the beginning with the number of images explained before.
      on_done: called after each image with its entry of the list and its explanation.

    Raises:
      UserError: a setting out of range, an image that cannot be read or that the rule does not
        fit, an output that cannot be written, or one with explanations by other settings.
    """
    if top < 1:
        raise UserError(f"top is {top}; show at least 1 superpixel")
    if seed < 0:
        raise UserError(f"seed is {seed}; it must not be negative")
    require_utf8([subject.id for subject in subjects])
    network = network.in_batches(on_predictions)
    scene = scene_builder.settings()
    rule = rule or TargetRule()
    chosen = {"class": str(rule), "score": rule.score(explainer.score)}
    config = {**explainer.settings(), **chosen, "scene": scene, "top": top, "seed": seed}
    common = {
        "format_version": FORMAT_VERSION,
        "config": config,
        "checkpoint": dict(network.provenance),
        "data": dict(data) if data is not None else None,
    }
    # Of data, the fingerprint says that its images are the same.
    loose = {subject.id: subject for subject in subjects} if data is None else {}

    def changed(entry: Mapping[str, Any]) -> bool:
        subject = loose.get(entry["id"])
        if subject is None:
            return False
        image = resize(subject.read(), network.image_size)
        return sha256(image.tobytes()) != entry["image_sha256"]

    settings = _settings(common, figures)
    with open_journal(output, settings, outdated=changed, restart=restart) as journal:
        folders = journal.folders([subject.id for subject in subjects])
        todo = [
            (subject, folder)
            for subject, folder in zip(subjects, folders, strict=True)
            if subject.id not in journal
        ]
        if on_known is not None:
            on_known(len(subjects) - len(todo))
        for subject, folder in todo:
            original = subject.read()
            image = resize(original, network.image_size)
            explanation = explain_prepared(
                network,
                image,
                explainer,
                scene_builder,
                rule=rule,
                true_class=subject.true_class,
                seed=seed,
                original=original,
            )
            record = {
                "id": subject.id,
                **decision_record(
                    explanation.probabilities, network.class_names, subject.true_class
                ),
                "explained_class": explanation.target,
                "contrast_class": explanation.contrast,
                "reading": explanation.reading(top),
                "evidence_in_top": evidence_in_top(explanation, top),
                **explanation_record(explanation, top),
                "image": {
                    "original_size": list(original.shape[:2]),
                    "explained_size": list(image.shape[:2]),
                    "sha256": sha256(image.tobytes()),
                },
                **common,
                "config": {**config, "image_seed": image_seed(seed, image)},
            }
            _write(output / folder, record, explanation, figures)
            entry = {
                **{key: record[key] for key in _LISTED},
                "jaccard": explanation.sampling.jaccard if explanation.sampling else None,
                "reliability": describe_reliability(explanation),
                "image_sha256": record["image"]["sha256"],
                "folder": folder,
                "explanation": f"{folder}/{EXPLANATION_FILE}",
                "figure": f"{folder}/{EXPLANATION_FIGURE_FILE}" if figures else None,
                "overlay": f"{folder}/{OVERLAY_FILE}" if figures else None,
                "thumbnail": f"{folder}/{THUMBNAIL_FILE}",
            }
            journal.append(entry)
            if on_done is not None:
                on_done(entry, explanation)
        write_index(output)


def _settings(common: Mapping[str, Any], figures: bool) -> dict[str, Any]:
    """What all explanations of a folder have in common: not how many images were asked for."""
    data = common["data"]
    if data is not None:
        data = {key: value for key, value in data.items() if key != "per_class"}
    return {**common, "data": data, "figures": figures, "measured_by": measured_by()}


def _write(
    folder: Path, record: Mapping[str, Any], explanation: ImageExplanation, figures: bool
) -> None:
    """Writes the files of one image."""
    remove(folder / EXPLANATION_FILE)
    if figures:
        attribution = explanation.attribution_of_original()
        write_whole(folder / EXPLANATION_FIGURE_FILE, _figure(record, explanation))
        write_whole(folder / OVERLAY_FILE, png_bytes(explanation.overlay()))
        write_whole(folder / ORIGINAL_LAYER_FILE, png_bytes(layer(attribution)))
        write_whole(folder / ORIGINAL_ATTRIBUTION_FILE, array_bytes(attribution))
    else:
        for name in PICTURES:
            remove(folder / name)
    write_whole(folder / SEGMENTS_FILE, label_map_bytes(explanation.segments))
    write_whole(folder / THUMBNAIL_FILE, thumbnail_of(explanation.image, explanation.attribution))
    if explanation.by_superpixel:
        remove(folder / ATTRIBUTION_FILE)  # of an earlier run by another method
    else:
        write_whole(folder / ATTRIBUTION_FILE, array_bytes(explanation.attribution))
    write_whole(folder / EXPLANATION_FILE, json_bytes(record))


def _figure(record: Mapping[str, Any], explanation: ImageExplanation) -> bytes:
    config = record["config"]
    subtitle = (
        shorten(record["id"], 70),
        explanation.method.upper(),
        f"seed {config['seed']}",
        describe_fit(explanation.fit),
    )
    figure = explanation.figure(
        top=config["top"],
        true_class=record["true_class"],
        subtitle=" · ".join(filter(None, subtitle)),
    )
    return figure_png(figure)
