"""Times every explanation method, and compares our LIME with the lime package.

    python scripts/time_explanations.py --checkpoint DIR --data SOURCE [--images 3] [--output DIR]

Both LIMEs alternate on the same scenes (the paper's: quickshift, mean colours, no background) with
the same masks; the other methods explain scenes as `fakd_jax.explain` builds them. The first image
is explained once untimed, which compiles.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fakd_jax.cli.runner import CommandParser, integer, run_command, use_compilation_cache
from fakd_jax.data.preprocessing import resize
from fakd_jax.explanation.api import image_seed
from fakd_jax.explanation.methods.lime import LimeExplainer
from fakd_jax.explanation.methods.lime_package import LimePackageExplainer
from fakd_jax.explanation.methods.registry import METHODS, create_explainer, settings_of
from fakd_jax.explanation.result import Explainer, Explanation
from fakd_jax.explanation.scene.builder import PAPER, SceneBuilder
from fakd_jax.explanation.scene.scene import Scene
from fakd_jax.explanation.subjects import subjects_from_dataset
from fakd_jax.inference.adapter import network_of
from fakd_jax.inference.network import Network
from fakd_jax.inference.predictor import Predictor
from fakd_jax.reporting.tables import text_table
from fakd_jax.runs.own_split import choose_ids
from fakd_jax.runs.workdir import find_workdir, open_data
from fakd_jax.runtime.atomic_files import require_writable, write_whole

FILE = "explanation_times.json"


def main(argv: list[str]) -> None:
    parser = CommandParser(prog="time_explanations.py", description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True, help="a workdir or a checkpoint in it")
    parser.add_argument("--data", required=True, help="kaggle, phantom, a folder or an archive")
    parser.add_argument("--images", type=integer(1), default=3, help="per class [3]")
    parser.add_argument("--num-samples", type=integer(2), default=1000, help="[1000]")
    parser.add_argument("--output", type=Path, help=f"folder for {FILE}")
    flags = parser.parse_args(argv)
    if flags.output:
        require_writable(flags.output)
    use_compilation_cache()
    predictor = Predictor.from_checkpoint(flags.checkpoint)
    network = network_of(predictor, find_workdir(predictor.checkpoint))
    images = choose_images(predictor, flags.data, flags.images)
    record = {
        "checkpoint": dict(network.provenance),
        "images": len(images),
        "num_samples": flags.num_samples,
        "lime": compare_limes(images, network, flags.num_samples),
        "methods": time_methods(images, network, flags.num_samples),
    }
    print(table(record))
    if flags.output:
        write_whole(flags.output / FILE, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def choose_images(predictor: Predictor, source: str, per_class: int) -> list[np.ndarray]:
    """Test images of every class, at the network's input size."""
    dataset = open_data(predictor.metadata, source)
    ids = choose_ids(dataset, "test", find_workdir(predictor.checkpoint), predictor.metadata).ids
    subjects = subjects_from_dataset(
        dataset, ids, predictor.class_names, per_class=per_class, seed=0
    )
    return [resize(subject.read(), predictor.preprocessing.image_size) for subject in subjects]


def compare_limes(
    images: Sequence[np.ndarray], network: Network, num_samples: int
) -> dict[str, Any]:
    """Differences and times of our LIME and the lime package on the same masks."""
    explainers = (LimeExplainer(num_samples=num_samples), LimePackageExplainer(num_samples))
    scenes = [PAPER.scene(image, image_seed(0, image)) for image in images]
    for explainer in explainers:
        explain(explainer, network, scenes[0])
    seconds: dict[str, list[float]] = {explainer.name: [] for explainer in explainers}
    differences = []
    for turn, scene in enumerate(scenes):
        weights = {}
        for explainer in explainers[:: 1 if turn % 2 else -1]:
            taken, explanation = timed(lambda e=explainer, s=scene: explain(e, network, s))
            seconds[explainer.name].append(taken)
            weights[explainer.name] = explanation.weights
        ours, theirs = (weights[explainer.name] for explainer in explainers)
        differences.append(float(np.abs(ours - theirs).max()))
    ours, theirs = (statistics.median(seconds[explainer.name]) for explainer in explainers)
    return {
        "largest_difference_of_weights": max(differences),
        "seconds": seconds,
        "median_seconds": {"ours": ours, "package": theirs},
        "speed_up": theirs / ours,
    }


def time_methods(
    images: Sequence[np.ndarray], network: Network, num_samples: int
) -> list[dict[str, Any]]:
    """Seconds per explanation of every method, without building the scene."""
    scene_builder = SceneBuilder()
    building, scenes = timed(lambda: [scene_builder.scene(image, 0) for image in images])
    rows: list[dict[str, Any]] = [{"method": "scene", "median_seconds": building / len(images)}]
    for name in METHODS:
        options = {"num_samples": num_samples} if "num_samples" in settings_of(name) else {}
        explainer = create_explainer(name, **options)
        explain(explainer, network, scenes[0])
        taken = [timed(lambda s=scene, e=explainer: explain(e, network, s))[0] for scene in scenes]
        rows.append({"method": name, "median_seconds": statistics.median(taken), "seconds": taken})
    return rows


def explain(explainer: Explainer, network: Network, scene: Scene) -> Explanation:
    """Explains the predicted class."""
    class_index = int(network.predict_proba(scene.image[None])[0].argmax())
    return explainer.explain(scene, network, class_index, 0)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """The seconds of a call, and its result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def table(record: Mapping[str, Any]) -> str:
    """Both comparisons as text."""
    lime = record["lime"]
    medians = lime["median_seconds"]
    head = (
        f"LIME, {record['num_samples']:,} samples, {record['images']} images: ours "
        f"{medians['ours']:.2f} s, the lime package {medians['package']:.2f} s, "
        f"{lime['speed_up']:.2f} times as fast; weights differ by "
        f"{lime['largest_difference_of_weights']:.1e} at most"
    )
    rows = [[row["method"], f"{row['median_seconds']:.2f}"] for row in record["methods"]]
    return f"{head}\n\n{text_table(['method', 'seconds'], rows)}"


if __name__ == "__main__":
    run_command(main)
