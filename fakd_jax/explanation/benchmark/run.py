"""A benchmark from images and methods to files; cell by cell, so that it can be interrupted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from fakd_jax.data.preprocessing import resize
from fakd_jax.errors import UserError
from fakd_jax.explanation.benchmark.agreement import says_nothing
from fakd_jax.explanation.benchmark.cells import CELLS, fingerprint, load_cell, save_cell
from fakd_jax.explanation.benchmark.code import computed_by
from fakd_jax.explanation.benchmark.measure import Stage, Trial, measure, set_stage
from fakd_jax.explanation.benchmark.summary import ALL
from fakd_jax.explanation.files import folder_names, require_text
from fakd_jax.explanation.report.attribution import overlay
from fakd_jax.explanation.report.benchmark_files import write_benchmark
from fakd_jax.explanation.result import Explainer
from fakd_jax.explanation.run import decision_record, image_seed
from fakd_jax.explanation.scene.builder import SceneBuilder
from fakd_jax.explanation.scene.masks import read_mask
from fakd_jax.explanation.subjects import Subject
from fakd_jax.inference.network import Network
from fakd_jax.reporting.images import png_bytes
from fakd_jax.runtime.atomic_files import require_writable, write_whole
from fakd_jax.runtime.hashing import sha256_of_array

FORMAT_VERSION = 1
TYPICAL_IMAGES, FEW_IMAGES = 32, 12


@dataclass(frozen=True)
class Plan:
    """What a benchmark measures.

    Attributes:
      methods: to be judged.
      controls: what they are held against.
      scene_builder: superpixels and what hides them.
      seeds: runs of a method that draws at random, at least 2.
      reinitialisations: how often the network's weights are drawn anew, 0 for never.
      top: how many superpixels count as the top.
      seed: decides about everything that is random.
    """

    methods: Sequence[Explainer]
    controls: Sequence[Explainer]
    scene_builder: SceneBuilder
    seeds: int = 3
    reinitialisations: int = 2
    top: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        controls = {control.name for control in self.controls}
        if both := [method.name for method in self.methods if method.name in controls]:
            raise UserError(
                f"{', '.join(both)} is a control and part of every benchmark; leave it out of "
                "--method"
            )

    def record(self) -> dict[str, Any]:
        """The plan as JSON-able values."""
        return {
            "methods": {method.name: method.settings() for method in self.methods},
            "controls": {control.name: control.settings() for control in self.controls},
            "scene": self.scene_builder.settings(),
            "seeds": self.seeds,
            "reinitialisations": self.reinitialisations,
            "top": self.top,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Benchmark:
    """A plan for one network.

    Attributes:
      plan: what is measured.
      network: whose decisions are explained, counted and in batches of one size.
      typical: images by which reinitialised networks are made to answer like networks do.
    """

    plan: Plan
    network: Network
    typical: UInt8[np.ndarray, "N S S 3"]

    @cached_property
    def trial(self) -> Trial:
        """What all cells share; the reinitialised networks are made when the first cell needs them."""
        reinitialise, plan = self.network.reinitialise, self.plan
        networks = []
        if reinitialise is not None:
            seeds = range(plan.seed, plan.seed + plan.reinitialisations)
            networks = [reinitialise(seed, self.typical) for seed in seeds]
        return Trial(plan.seeds, plan.top, [network.in_batches() for network in networks])

    @cached_property
    def record(self) -> dict[str, Any]:
        """What all cells depend on, as JSON-able values."""
        plan = self.plan
        return {
            "format_version": FORMAT_VERSION,
            "computed_by": computed_by(),
            "network": dict(self.network.provenance),
            "class_names": list(self.network.class_names),
            "scene": plan.scene_builder.settings(),
            "trial": [plan.seeds, plan.top, plan.seed],
            "reinitialised": [plan.reinitialisations, sha256_of_array(self.typical)]
            if plan.reinitialisations
            else None,
        }


def run_benchmark(
    subjects: Sequence[Subject],
    network: Network,
    plan: Plan,
    output: Path,
    *,
    data: Mapping[str, Any] | None = None,
    groups: Mapping[str, int] | None = None,
    on_predictions: Callable[[int], None] | None = None,
    on_cell: Callable[[str, str, bool], None] | None = None,
) -> dict[str, Any]:
    """Explains every image by every method, judges each explanation, and compares the methods.

    A cell, one image and method, is written as soon as it is measured; the same command goes on
    after an interruption, and measures again only what was measured under other conditions.

    Args:
      subjects: the images; their ids must differ.
      network: whose decisions are explained.
      plan: what is measured.
      output: a folder, made if need be.
      data: where the images come from, as JSON-able values.
      groups: group of copies by id, where an audit knows them.
      on_predictions: called with the number of images that the network has just predicted.
      on_cell: called after each cell with the image's id, the method, and whether the cell was
        there already.

    Returns:
      What `benchmark.json` holds.

    Raises:
      UserError: an image or a mask that cannot be read, a name that is not UTF-8, a class of the
        name of the rows of all classes, or an output that cannot be written.
    """
    require_text([subject.id for subject in subjects])
    if ALL in network.class_names:
        raise UserError(
            f"a class is named {ALL!r}, as the rows of all classes together are; rename the class"
        )
    require_writable(output)
    typical = typical_images(subjects, network.image_size)
    benchmark = Benchmark(plan, network.in_batches(on_predictions), typical)
    names = folder_names([subject.id for subject in subjects])
    cells: list[dict[str, Any]] = []
    for subject, name in zip(subjects, names, strict=True):
        cells += _cells_of(subject, output / CELLS / name, benchmark, on_cell)
    facts = {
        "format_version": FORMAT_VERSION,
        "config": plan.record(),
        "checkpoint": dict(network.provenance),
        "data": dict(data) if data is not None else None,
    }
    methods = [method.name for method in plan.methods]
    controls = [control.name for control in plan.controls]
    return write_benchmark(output, cells, methods, controls, facts, groups)


def typical_images(
    subjects: Sequence[Subject], side: int
) -> UInt8[np.ndarray, "N {side} {side} 3"]:
    """Images of the kind that is explained: up to 32, of few also turned and mirrored.

    They lie evenly among the subjects, which come class by class: every class is to be met.
    """
    count = min(TYPICAL_IMAGES, len(subjects))
    chosen = [subjects[index * len(subjects) // count] for index in range(count)]
    images = [resize(subject.read(), side) for subject in chosen]
    turns = range(4 if len(images) < FEW_IMAGES else 1)
    turned = [np.rot90(image, turn) for image in images for turn in turns]
    mirrored = [image[:, ::-1] for image in turned] if len(images) < FEW_IMAGES else []
    return np.stack([*turned, *mirrored])


def _cells_of(
    subject: Subject,
    folder: Path,
    benchmark: Benchmark,
    on_cell: Callable[[str, str, bool], None] | None,
) -> list[dict[str, Any]]:
    """The cells of one image, from disk or measured now."""
    plan, network = benchmark.plan, benchmark.network
    original = subject.read()
    image = resize(original, network.image_size)
    lesion = None
    if subject.mask is not None:
        lesion = read_mask(subject.mask, original.shape[:2], network.image_size)
    seed = image_seed(plan.seed, image)
    shared = {
        **benchmark.record,
        "id": subject.id,
        "image": sha256_of_array(image),
        "lesion": None if lesion is None else sha256_of_array(lesion),
        "true_class": subject.true_class,
    }
    # Drawn whenever it is asked for: another mask, and it would outlive its cells.
    shown = lesion if lesion is not None and lesion.any() else None
    bare = overlay(image, np.zeros(image.shape[:2]), mask=shown)
    write_whole(folder / "image.png", png_bytes(bare))
    stage: Stage | None = None
    cells = []
    for explainer in (*plan.methods, *plan.controls):
        key = fingerprint(**shared, method=explainer.settings())
        cell = load_cell(folder, explainer.name, key)
        known = cell is not None
        if cell is None:
            if stage is None:
                scene = plan.scene_builder.scene(image, seed)
                stage = set_stage(scene, network, seed, shown, subject.true_class)
            cell = _measure_cell(subject, explainer, stage, benchmark, folder, key)
        cells.append(cell)
        if on_cell is not None:
            on_cell(subject.id, explainer.name, known)
    return cells


def _measure_cell(
    subject: Subject,
    explainer: Explainer,
    stage: Stage,
    benchmark: Benchmark,
    folder: Path,
    key: str,
) -> dict[str, Any]:
    """Measures one cell and writes it with its picture."""
    network = benchmark.network
    explanation, figures = measure(explainer, stage, network, benchmark.trial)
    cell = {
        "id": subject.id,
        **decision_record(stage.probabilities, network.class_names, subject.true_class),
        "explained_class": network.class_names[stage.class_index],
        "method": explainer.name,
        **figures,
        "fingerprint": key,
    }
    silent = says_nothing(explanation.weights.tolist())  # rounding errors are not to be painted
    attribution = np.zeros_like(explanation.attribution) if silent else explanation.attribution
    picture = overlay(stage.scene.image, attribution, mask=stage.lesion)
    save_cell(folder, cell, png_bytes(picture))
    return cell
