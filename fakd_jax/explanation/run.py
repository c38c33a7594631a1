"""Explaining a list of images one by one, each written as soon as it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from fakd_jax.data.preprocessing import resize
from fakd_jax.errors import UserError
from fakd_jax.explanation.api import explain_prepared, image_seed
from fakd_jax.explanation.files import (
    array_bytes,
    folder_names,
    json_bytes,
    label_map_bytes,
    require_text,
)
from fakd_jax.explanation.report.figure import describe_fit, figure_png, shorten
from fakd_jax.explanation.result import (
    Explainer,
    Explanation,
    Sampling,
    TopSuperpixel,
    top_superpixels,
)
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
    """Explains each image's predicted class and writes what came out.

    Images are first resized to the network's input, as in training: what is explained is what
    the network sees. Every image gets its own folder under `output` with `figure.png`,
    `segments.png` (label map, 16 bits: 0 is background, superpixel s is s + 1), for methods that
    weigh pixels `attribution.npy` (float32 ``[S, S]``), and `explanation.json`, removed first and
    written last, so that it vouches for the others; `output/explanations.json` lists what is done so far.
    Files are replaced whole: after an interruption, what has its `explanation.json` is good.

    Args:
      subjects: the images; their ids must differ.
      network: whose decisions are explained.
      explainer: the method.
      scene_builder: superpixels and what hides them.
      output: a folder, made if need be.
      top: how many superpixels each panel of the figure shows and `top` of the record lists
        (the heaviest of either sign); at least 1.
      seed: not negative. Each image's own seed is drawn from it and the image's pixels, so
        neither the order nor the names of the images matter.
      data: where the images come from, as JSON-able values; None for loose files.
      on_predictions: called with the number of images that the network has just predicted.
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
    require_text([subject.id for subject in subjects])
    network = network.in_batches(on_predictions)
    common = {
        "format_version": FORMAT_VERSION,
        "config": {
            **explainer.settings(),
            "scene": scene_builder.settings(),
            "top": top,
            "seed": seed,
        },
        "checkpoint": dict(network.provenance),
        "data": dict(data) if data is not None else None,
    }
    entries: list[dict[str, Any]] = []
    index = {**common, "explanations": entries}
    write_whole(output / EXPLANATIONS_FILE, json_bytes(index))  # an unwritable folder shows at once
    names = folder_names([subject.id for subject in subjects])
    for subject, name in zip(subjects, names, strict=True):
        record, explanation = _explain_one(
            subject, network, explainer, scene_builder, output / name, common
        )
        paths = {
            "explanation": f"{name}/{EXPLANATION_FILE}",
            "figure": f"{name}/{EXPLANATION_FIGURE_FILE}",
        }
        entries.append({key: record[key] for key in _INDEX_KEYS} | paths)
        write_whole(output / EXPLANATIONS_FILE, json_bytes(index))
        if on_done is not None:
            on_done(entries[-1], explanation)
    return index


def _explain_one(
    subject: Subject,
    network: Network,
    explainer: Explainer,
    scene_builder: SceneBuilder,
    folder: Path,
    common: Mapping[str, Any],
) -> tuple[dict[str, Any], Explanation]:
    """Explains one image, writes its files and returns its record and explanation."""
    original = subject.read()
    image = resize(original, network.image_size)
    config = common["config"]
    top, seed = config["top"], config["seed"]
    explanation = explain_prepared(network, image, explainer, scene_builder, seed=seed)
    decision = decision_record(explanation.probabilities, network.class_names, subject.true_class)
    subtitle = [shorten(subject.id, 70), explanation.method.upper(), f"seed {seed}"]
    figure = explanation.figure(
        top=top,
        true_class=subject.true_class,
        subtitle=" · ".join(filter(None, [*subtitle, describe_fit(explanation.fit)])),
    )
    record = {
        "id": subject.id,
        **decision,
        "explained_class": explanation.target,
        **_explanation_record(explanation, top_superpixels(explanation, top)),
        "image": {
            "original_size": list(original.shape[:2]),
            "explained_size": list(image.shape[:2]),
            "sha256": sha256(image.tobytes()),
        },
        **common,
        "config": {**config, "image_seed": image_seed(seed, image)},
    }
    by_pixel = None if explanation.by_superpixel else array_bytes(explanation.attribution)
    files = {
        EXPLANATION_FIGURE_FILE: figure_png(figure),
        SEGMENTS_FILE: label_map_bytes(explanation.segments),
        ATTRIBUTION_FILE: by_pixel,
    }
    remove(folder / EXPLANATION_FILE)
    for name, content in files.items():
        if content is None:
            remove(folder / name)  # of an earlier run by another method
        else:
            write_whole(folder / name, content)
    write_whole(folder / EXPLANATION_FILE, json_bytes(record))
    return record, explanation


def decision_record(
    probabilities: Float32[np.ndarray, " C"], class_names: Sequence[str], true_class: str | None
) -> dict[str, Any]:
    """What the network said of an image, as JSON-able values."""
    values = [float(probability) for probability in probabilities]
    predicted = int(probabilities.argmax())
    return {
        "true_class": true_class,
        "prediction": class_names[predicted],
        "probability": values[predicted],
        "probabilities": dict(zip(class_names, values, strict=True)),
    }


def _explanation_record(
    explanation: Explanation, heaviest: Sequence[TopSuperpixel]
) -> dict[str, Any]:
    """An explanation as JSON-able values; its label map is a picture beside them."""
    segments, weights, fit = explanation.segments, explanation.weights, explanation.fit
    sizes = np.bincount(segments[segments >= 0], minlength=len(weights))
    return {
        "fidelity_r2": fit.r2 if fit else None,
        "local_prediction": fit.prediction if fit else None,
        "intercept": fit.intercept if fit else None,
        "stability": _sampling_record(explanation.sampling),
        "top": [
            {
                "superpixel": superpixel.superpixel,
                "weight": superpixel.weight,
                "sign": "positive" if superpixel.positive else "negative",
                "area": superpixel.area,
            }
            for superpixel in heaviest
        ],
        "segments": {
            "file": SEGMENTS_FILE,
            "count": len(weights),
            "background": int((segments < 0).sum()),
            "pixels": sizes.tolist(),
        },
        "weights": weights.tolist(),
        "attribution": None if explanation.by_superpixel else ATTRIBUTION_FILE,
    }


def _sampling_record(sampling: Sampling | None) -> dict[str, Any] | None:
    """How sure the weights are, as JSON-able values."""
    if sampling is None:
        return None
    return {
        "num_samples": sampling.num_samples,
        "top": sampling.top,
        "jaccard": sampling.jaccard,
        "target": sampling.target,
        "stable": sampling.stable,
        "ci95": np.stack([sampling.low, sampling.high], axis=1).tolist(),
    }
