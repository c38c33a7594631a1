"""Explains images one by one and writes each as soon as it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fakd_jax.data.preprocessing import resize
from fakd_jax.errors import UserError
from fakd_jax.explanation.api import ImageExplanation, explain_prepared, image_seed
from fakd_jax.explanation.files import (
    array_bytes,
    decision_record,
    explanation_record,
    folder_names,
    json_bytes,
    label_map_bytes,
    require_utf8,
)
from fakd_jax.explanation.report.figure import describe_fit, figure_png, shorten
from fakd_jax.explanation.result import Explainer, Explanation
from fakd_jax.explanation.scene.builder import SceneBuilder
from fakd_jax.explanation.subjects import Subject
from fakd_jax.inference.network import Network
from fakd_jax.runs.files import (
    ATTRIBUTION_FILE,
    EXPLANATION_FIGURE_FILE,
    EXPLANATION_FILE,
    EXPLANATIONS_FILE,
    SEGMENTS_FILE,
)
from fakd_jax.runtime.atomic_files import remove, write_whole
from fakd_jax.runtime.hashing import sha256

FORMAT_VERSION = 2
_INDEX_KEYS = (
    "id",
    "true_class",
    "prediction",
    "probability",
    "explained_class",
    "fidelity_r2",
    "stability",
)


def explain_images(
    subjects: Sequence[Subject],
    network: Network,
    explainer: Explainer,
    scene_builder: SceneBuilder,
    output: Path,
    *,
    top: int = 3,
    seed: int = 0,
    data: Mapping[str, Any] | None = None,
    on_predictions: Callable[[int], None] | None = None,
    on_done: Callable[[Mapping[str, Any], Explanation], None] | None = None,
) -> dict[str, Any]:
    """Explains each image's predicted class and writes the explanations.

    Images are first resized to the network's input, as in training. Every image gets a folder
    under `output` with `figure.png`, `segments.png` (label map, 16 bits: 0 is background,
    superpixel s is s + 1), for methods that weigh pixels `attribution.npy` (float32 ``[S, S]``),
    and `explanation.json`; `output/explanations.json` lists what is done so far. Files are
    replaced whole and `explanation.json` is removed first and written last: after an
    interruption, a folder that has it is complete.

    Args:
      subjects: the images; their ids must differ.
      network: the network to explain.
      explainer: the method.
      scene_builder: superpixels and infill.
      output: a folder, created if needed.
      top: superpixels per panel of the figure, and in `top` of the record; at least 1.
      seed: not negative. Each image's own seed derives from it and the image's pixels, so that
        neither order nor names matter.
      data: where the images come from, as JSON-able values; None for loose files.
      on_predictions: called with the number of images just predicted.
      on_done: called after each image with its entry of the index and its explanation.

    Returns:
      The index, as written.

    Raises:
      UserError: a setting out of range, an image that cannot be read, or an output that
        cannot be written.
    """
    if top < 1:
        raise UserError(f"top is {top}; show at least 1 superpixel")
    if seed < 0:
        raise UserError(f"seed is {seed}; it must not be negative")
    require_utf8([subject.id for subject in subjects])
    network = network.in_batches(on_predictions)
    scene = scene_builder.settings()
    config = {**explainer.settings(), "scene": scene, "top": top, "seed": seed}
    common = {
        "format_version": FORMAT_VERSION,
        "config": config,
        "checkpoint": dict(network.provenance),
        "data": dict(data) if data is not None else None,
    }
    entries: list[dict[str, Any]] = []
    index = {**common, "explanations": entries}
    # Written at once, to find out early whether the folder can be.
    write_whole(output / EXPLANATIONS_FILE, json_bytes(index))
    names = folder_names([subject.id for subject in subjects])
    for subject, name in zip(subjects, names, strict=True):
        original = subject.read()
        image = resize(original, network.image_size)
        explanation = explain_prepared(network, image, explainer, scene_builder, seed=seed)
        record = {
            "id": subject.id,
            **decision_record(explanation.probabilities, network.class_names, subject.true_class),
            "explained_class": explanation.target,
            **explanation_record(explanation, top),
            "image": {
                "original_size": list(original.shape[:2]),
                "explained_size": list(image.shape[:2]),
                "sha256": sha256(image.tobytes()),
            },
            **common,
            "config": {**config, "image_seed": image_seed(seed, image)},
        }
        _write(output / name, record, explanation)
        paths = {
            "explanation": f"{name}/{EXPLANATION_FILE}",
            "figure": f"{name}/{EXPLANATION_FIGURE_FILE}",
        }
        entries.append({key: record[key] for key in _INDEX_KEYS} | paths)
        write_whole(output / EXPLANATIONS_FILE, json_bytes(index))
        if on_done is not None:
            on_done(entries[-1], explanation)
    return index


def _write(folder: Path, record: Mapping[str, Any], explanation: ImageExplanation) -> None:
    """Writes the files of one image."""
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
    remove(folder / EXPLANATION_FILE)
    write_whole(folder / EXPLANATION_FIGURE_FILE, figure_png(figure))
    write_whole(folder / SEGMENTS_FILE, label_map_bytes(explanation.segments))
    if explanation.by_superpixel:
        remove(folder / ATTRIBUTION_FILE)  # of an earlier run by another method
    else:
        write_whole(folder / ATTRIBUTION_FILE, array_bytes(explanation.attribution))
    write_whole(folder / EXPLANATION_FILE, json_bytes(record))
