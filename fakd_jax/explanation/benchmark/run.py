"""Measures every method on every image, cell by cell, and writes the reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from fakd_jax.data.masks import read_masks
from fakd_jax.data.preprocessing import resize
from fakd_jax.errors import UserError
from fakd_jax.explanation.api import image_seed
from fakd_jax.explanation.benchmark.cases import is_degenerate
from fakd_jax.explanation.benchmark.cells import CELLS, fingerprint, load_cell, save_cell
from fakd_jax.explanation.benchmark.code import measured_by
from fakd_jax.explanation.benchmark.measure import ImageContext, Protocol, image_context, measure
from fakd_jax.explanation.benchmark.metrics import measured
from fakd_jax.explanation.benchmark.summary import ALL, summarise
from fakd_jax.explanation.files import decision_record, folder_names, json_bytes, require_utf8
from fakd_jax.explanation.report.attribution import overlay
from fakd_jax.explanation.report.benchmark import benchmark_csv, benchmark_table, class_tables
from fakd_jax.explanation.report.benchmark_figure import plot_benchmark
from fakd_jax.explanation.report.gallery import write_gallery
from fakd_jax.explanation.report.thumbnails import thumbnail
from fakd_jax.explanation.result import Explainer
from fakd_jax.explanation.scene.builder import SceneBuilder
from fakd_jax.explanation.subjects import Subject
from fakd_jax.inference.network import Network
from fakd_jax.reporting.images import png_bytes
from fakd_jax.runs.files import (
    BENCHMARK_FIGURE_FILE,
    BENCHMARK_FILE,
    BENCHMARK_ROWS_FILE,
    BENCHMARK_TABLE_FILE,
)
from fakd_jax.runtime.atomic_files import require_writable, write_whole
from fakd_jax.runtime.hashing import sha256_of_array

FORMAT_VERSION = 3
TYPICAL_IMAGES, FEW_IMAGES = 32, 12


@dataclass(frozen=True)
class Plan:
    """What a benchmark measures.

    Attributes:
      methods: to be compared.
      controls: explainers that ignore the network.
      scene_builder: superpixels and infill.
      seeds: runs of a method that draws at random, at least 2.
      reinitialisations: networks with re-initialised weights to compare with; 0 for none.
      top: how many superpixels count as the top.
      seed: everything random is derived from it.
      localisation_only: see :class:`~fakd_jax.explanation.benchmark.measure.Protocol`; then nothing
        is re-initialised, whatever `reinitialisations` says.
    """

    methods: Sequence[Explainer]
    controls: Sequence[Explainer]
    scene_builder: SceneBuilder
    seeds: int = 3
    reinitialisations: int = 2
    top: int = 3
    seed: int = 0
    localisation_only: bool = False

    def __post_init__(self) -> None:
        controls = {control.name for control in self.controls}
        if both := [method.name for method in self.methods if method.name in controls]:
            raise UserError(
                f"every benchmark includes the controls: leave {', '.join(both)} out of --method"
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
            "localisation_only": self.localisation_only,
        }


@dataclass(frozen=True)
class _Benchmark:
    """A plan for one network.

    Attributes:
      plan: what is measured.
      network: in batches of one size.
      typical: images that set the batch statistics of re-initialised networks.
    """

    plan: Plan
    network: Network
    typical: UInt8[np.ndarray, "N S S 3"]

    @cached_property
    def protocol(self) -> Protocol:
        """The protocol of all cells; networks are re-initialised when the first cell needs them."""
        reinitialise, plan = self.network.reinitialise, self.plan
        networks = []
        if reinitialise is not None and not plan.localisation_only:
            seeds = range(plan.seed, plan.seed + plan.reinitialisations)
            networks = [reinitialise(seed, self.typical) for seed in seeds]
        reinitialised = [network.in_batches() for network in networks]
        return Protocol(plan.seeds, plan.top, reinitialised, plan.localisation_only)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What all cells depend on, as JSON-able values."""
        plan = self.plan
        return {
            "format_version": FORMAT_VERSION,
            "measured_by": measured_by(),
            "network": dict(self.network.provenance),
            "class_names": list(self.network.class_names),
            "scene": plan.scene_builder.settings(),
            "protocol": "localisation" if plan.localisation_only else [plan.seeds, plan.top],
            "reinitialised": [plan.reinitialisations, plan.seed, sha256_of_array(self.typical)]
            if plan.reinitialisations and not plan.localisation_only
            else None,
        }

    def measure_image(
        self, subject: Subject, folder: Path, on_cell: Callable[[str, str, bool], None] | None
    ) -> list[dict[str, Any]]:
        """The cells of one image, from disk or measured now, and their pictures."""
        original = subject.read()
        image = resize(original, self.network.image_size)
        mask = None
        if subject.masks:
            mask = read_masks(subject.masks, original.shape[:2], self.network.image_size)
        lesion = mask if mask is not None and mask.any() else None
        seed = image_seed(self.plan.seed, image)
        identity = {
            **self.identity,
            "id": subject.id,
            "image": sha256_of_array(image),
            "lesion": None if mask is None else sha256_of_array(mask),
            "true_class": subject.true_class,
            "seed": seed,
        }
        _draw(folder, "image", image, np.zeros(image.shape[:2]), lesion)
        context: ImageContext | None = None
        cells = []
        for explainer in (*self.plan.methods, *self.plan.controls):
            key = fingerprint(**identity, method=explainer.settings())
            stored = load_cell(folder, explainer.name, key)
            known = stored is not None
            if stored is None:
                if context is None:
                    scene = self.plan.scene_builder.scene(image, seed)
                    context = image_context(
                        scene,
                        self.network,
                        seed,
                        lesion,
                        subject.true_class,
                        perturbed=not self.plan.localisation_only,
                    )
                explanation, metrics = measure(explainer, context, self.network, self.protocol)
                names = self.network.class_names
                cell = {
                    "id": subject.id,
                    **decision_record(context.probabilities, names, subject.true_class),
                    "explained_class": names[context.class_index],
                    "method": explainer.name,
                    **metrics,
                    "fingerprint": key,
                }
                stored = save_cell(folder, cell, explanation.attribution)
            cell, attribution = stored
            if is_degenerate(cell["weights"]):  # rounding errors are not worth showing
                attribution = np.zeros_like(attribution)
            _draw(folder, explainer.name, image, attribution, lesion)
            cells.append(cell)
            if on_cell is not None:
                on_cell(subject.id, explainer.name, known)
        return cells


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
    """Explains every image by every method, measures the explanations and compares the methods.

    Each cell, one image and method, is written as soon as it is measured; a second run measures
    only what is missing or was measured under other conditions.

    Args:
      subjects: the images; their ids must differ.
      network: whose predictions are explained.
      plan: what is measured.
      output: a folder, created if necessary.
      data: the images' source, as JSON-able values.
      groups: duplicate group by id, if the data was audited.
      on_predictions: called with the number of images just predicted.
      on_cell: called with the image's id, the method, and whether the cell came from disk.

    Returns:
      The content of `benchmark.json`.

    Raises:
      UserError: an unreadable image or mask, an unsuitable name, an unwritable output, or nothing
        that can be measured.
    """
    ids = [subject.id for subject in subjects]
    require_utf8(ids)
    if ALL in network.class_names:
        raise UserError(f"a class is named {ALL!r}, like the rows about all images; rename it")
    require_writable(output)
    typical = typical_images(subjects, network.image_size)
    benchmark = _Benchmark(plan, network.in_batches(on_predictions), typical)
    folders = dict(zip(ids, folder_names(ids), strict=True))
    cells: list[dict[str, Any]] = []
    for subject in subjects:
        folder = output / CELLS / folders[subject.id]
        cells += benchmark.measure_image(subject, folder, on_cell)
    config = plan.record()
    report = {
        "format_version": FORMAT_VERSION,
        "config": config,
        "checkpoint": dict(network.provenance),
        "data": dict(data) if data is not None else None,
        **summarise(cells, list(config["methods"]), list(config["controls"]), groups=groups),
    }
    if not measured(report["rows"]):
        raise UserError(
            f"nothing can be measured on these {len(subjects):,} images: every explanation is "
            "empty, or no prediction is right; give other images"
        )
    plot_benchmark(report, output / BENCHMARK_FIGURE_FILE)
    write_gallery(report, cells, output, folders)
    for name, text in {
        BENCHMARK_FILE: json_bytes(report).decode(),
        BENCHMARK_TABLE_FILE: f"{benchmark_table(report)}\n\n{class_tables(report)}",
        BENCHMARK_ROWS_FILE: benchmark_csv(report),
    }.items():
        write_whole(output / name, text)
    return report


def typical_images(
    subjects: Sequence[Subject], side: int
) -> UInt8[np.ndarray, "N {side} {side} 3"]:
    """Up to 32 images, evenly spaced among the classes; if few, rotated and flipped too."""
    count = min(TYPICAL_IMAGES, len(subjects))
    images = [resize(subjects[i * len(subjects) // count].read(), side) for i in range(count)]
    if len(images) >= FEW_IMAGES:
        return np.stack(images)
    rotated = [np.rot90(image, turns) for image in images for turns in range(4)]
    return np.stack([*rotated, *(image[:, ::-1] for image in rotated)])


def _draw(
    folder: Path,
    name: str,
    image: UInt8[np.ndarray, "S S 3"],
    attribution: Float[np.ndarray, "S S"],
    lesion: Bool[np.ndarray, "S S"] | None,
) -> None:
    """Writes the picture of an explanation, and its thumbnail."""
    picture = overlay(image, attribution, mask=lesion)
    write_whole(folder / f"{name}.png", png_bytes(picture))
    write_whole(folder / "thumbnails" / f"{name}.png", thumbnail(picture))
