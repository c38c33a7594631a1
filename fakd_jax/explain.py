"""Explains a checkpoint's decisions on images: figures and numbers.

    python -m fakd_jax.explain --checkpoint DIR --image FILE [FILE ...]
    python -m fakd_jax.explain --checkpoint DIR --data SOURCE --split test --per-class N
    python -m fakd_jax.explain --checkpoint DIR --data SOURCE --per-class N --benchmark

Each image's predicted class is explained at the network's input size: images are resized first.
The third judges methods of explanation against each other and against controls.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakd_jax.cli.runner import CommandParser, integer, run_command, use_compilation_cache
from fakd_jax.errors import UserError

if TYPE_CHECKING:
    from fakd_jax.explanation.result import Explainer
    from fakd_jax.explanation.scene.builder import SceneBuilder
    from fakd_jax.explanation.subjects import Subject
    from fakd_jax.inference.network import Network
    from fakd_jax.inference.predictor import Predictor


def make_parser() -> CommandParser:
    """The flags of `python -m fakd_jax.explain`."""
    parser = CommandParser(
        prog="fakd explain",
        description="Explains a checkpoint's decisions on images. Images are resized to the "
        "network's input first: what is explained is what the network sees.",
    )
    parser.add_argument(
        "--checkpoint", required=True, help="a workdir (its best student) or a checkpoint in it"
    )
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--image", nargs="+", metavar="FILE", help="image files to explain")
    chosen.add_argument("--data", metavar="SOURCE", help="kaggle, phantom, a folder or an archive")
    parser.add_argument("--split", choices=("test", "val", "train"), help="with --data [test]")
    parser.add_argument(
        "--per-class",
        type=integer(1),
        metavar="N",
        help="with --data: explain N images of each class, chosen by the seed [1]",
    )
    parser.add_argument(
        "--method", nargs="+", metavar="NAME", help="how to explain [lime; --benchmark: all]"
    )
    parser.add_argument(
        "--num-samples",
        type=int,
        metavar="N",
        help="perturbed images for one image [LIME: as many as it takes until the top is stable]",
    )
    parser.add_argument(
        "--max-samples",
        type=int,
        metavar="N",
        help="the most that LIME takes until then; not with --num-samples or --preset paper [4000]",
    )
    parser.add_argument(
        "--kernel-width", type=float, metavar="W", help="of LIME's exponential kernel [0.25]"
    )
    parser.add_argument(
        "--layer",
        metavar="NAME",
        help="feature map of Grad-CAM and Grad-CAM++ [the last of more than one position]",
    )
    parser.add_argument(
        "--preset",
        choices=("default", "paper"),
        default="default",
        help="paper: quickshift, hidden by mean colours, air included, 1000 samples [default]",
    )
    parser.add_argument("--segmenter", metavar="NAME", help="slic or quickshift [slic]")
    parser.add_argument(
        "--superpixels", type=int, metavar="N", help="about how many slic is asked for [48]"
    )
    parser.add_argument("--hide", metavar="HOW", help="by mean, blur or inpaint [blur]")
    parser.add_argument(
        "--whole-image", action="store_true", help="let the air around the head be evidence too"
    )
    parser.add_argument("--top", type=integer(1), default=3, help="superpixels to show [3]")
    parser.add_argument(
        "--benchmark",
        action="store_true",
        help="judge the methods: stability, faithfulness, dependence on the weights, localisation",
    )
    parser.add_argument(
        "--seeds",
        type=integer(2),
        metavar="N",
        help="with --benchmark: runs of a method that draws at random [3]",
    )
    parser.add_argument(
        "--reinitialisations",
        type=integer(0),
        metavar="N",
        help="with --benchmark: networks with weights drawn anew to compare with [2]",
    )
    parser.add_argument(
        "--masks",
        metavar="DIR",
        help="with --benchmark and --data: masks of lesions, DIR/<id of the image, with "
        "the suffix .png> [those that come with the data]",
    )
    parser.add_argument(
        "--output", metavar="DIR", help="[explanation/ or benchmark/ in the workdir]"
    )
    parser.add_argument(
        "--seed",
        type=integer(0, 2**31 - 1),
        default=0,
        help="of superpixels and perturbations [0]",
    )
    parser.add_argument(
        "--batch-size", type=integer(1), default=32, help="images predicted at once [32]"
    )
    parser.add_argument("--cache-dir", metavar="DIR", help="where prepared data is kept")
    return parser


def main(argv: list[str]) -> None:
    """Explains as the flags say; flags and files are checked before any work.

    Args:
      argv: the arguments after the program's name.

    Raises:
      UserError: whatever the user can mend.
    """
    flags = make_parser().parse_args(argv)
    if flags.image and (flags.split or flags.per_class is not None):
        raise UserError("--split and --per-class choose from --data; leave them out with --image")
    of_benchmark = {
        "--seeds": flags.seeds,
        "--reinitialisations": flags.reinitialisations,
        "--masks": flags.masks,
    }
    given = [flag for flag, value in of_benchmark.items() if value is not None]
    if given and not flags.benchmark:
        raise UserError(f"{', '.join(given)} only means something with --benchmark")
    if flags.masks and not flags.data:
        raise UserError("--masks belong to the images of --data")
    if not flags.benchmark and len(flags.method or []) > 1:
        raise UserError("one --method at a time; several are compared by --benchmark")
    from fakd_jax.explanation.methods.registry import METHODS
    from fakd_jax.explanation.options import choose_explainers, choose_scene_builder
    from fakd_jax.explanation.subjects import subjects_from_files

    scene_builder = choose_scene_builder(
        flags.preset,
        segmenter=flags.segmenter,
        superpixels=flags.superpixels,
        hide=flags.hide,
        whole_image=flags.whole_image,
    )
    explainers = choose_explainers(
        flags.method or (list(METHODS) if flags.benchmark else ["lime"]),
        flags.preset,
        {
            "num_samples": flags.num_samples,
            "max_samples": flags.max_samples,
            "kernel_width": flags.kernel_width,
            "layer": flags.layer,
        },
        top=flags.top,
    )
    subjects = subjects_from_files(flags.image or [])

    use_compilation_cache()
    from fakd_jax.inference.adapter import network_of
    from fakd_jax.inference.predictor import Predictor
    from fakd_jax.runs.workdir import find_workdir

    predictor = Predictor.from_checkpoint(flags.checkpoint, batch_size=flags.batch_size)
    workdir = find_workdir(predictor.checkpoint)
    data = groups = None
    if flags.data:
        subjects, data, groups = _choose(flags, predictor, workdir)
    kind = "benchmark" if flags.benchmark else "explanation"
    output = (
        Path(flags.output) if flags.output else _default_folder(predictor.checkpoint, workdir, kind)
    )
    network = network_of(predictor, workdir)
    if flags.benchmark:
        _benchmark(flags, subjects, network, explainers, scene_builder, output, data, groups)
    else:
        _explain(flags, subjects, network, explainers[0], scene_builder, output, data)


def _explain(
    flags: argparse.Namespace,
    subjects: list[Subject],
    network: Network,
    explainer: Explainer,
    scene_builder: SceneBuilder,
    output: Path,
    data: dict[str, Any] | None,
) -> None:
    """Explains the images by one method."""
    from fakd_jax.explanation.progress import Progress
    from fakd_jax.explanation.run import explain_images
    from fakd_jax.runs.files import EXPLANATIONS_FILE

    with Progress(len(subjects), explainer.num_predictions + 1) as progress:
        explain_images(
            subjects,
            network,
            explainer,
            scene_builder,
            output,
            top=flags.top,
            seed=flags.seed,
            data=data,
            on_predictions=progress.on_predictions,
            on_done=progress.on_done,
        )
    print(f"explanations: {output} (list: {output / EXPLANATIONS_FILE})")


def _benchmark(
    flags: argparse.Namespace,
    subjects: list[Subject],
    network: Network,
    methods: list[Explainer],
    scene_builder: SceneBuilder,
    output: Path,
    data: dict[str, Any] | None,
    groups: dict[str, int] | None,
) -> None:
    """Judges the methods and prints the benchmark."""
    from fakd_jax.explanation.benchmark.run import Plan, run_benchmark
    from fakd_jax.explanation.methods.registry import CONTROLS, create_explainer
    from fakd_jax.explanation.progress import CellProgress
    from fakd_jax.explanation.report.benchmark_table import benchmark_table
    from fakd_jax.runs.files import BENCHMARK_FILE, GALLERY_FILE

    plan = Plan(
        methods=methods,
        controls=[create_explainer(name) for name in CONTROLS],
        scene_builder=scene_builder,
        seeds=Plan.seeds if flags.seeds is None else flags.seeds,
        reinitialisations=Plan.reinitialisations
        if flags.reinitialisations is None
        else flags.reinitialisations,
        top=flags.top,
        seed=flags.seed,
    )
    with CellProgress(len(subjects), len(plan.methods) + len(plan.controls)) as progress:
        benchmark = run_benchmark(
            subjects,
            network,
            plan,
            output,
            data=data,
            groups=groups,
            on_predictions=progress.on_predictions,
            on_cell=progress.on_cell,
        )
    print(f"\n{benchmark_table(benchmark)}")
    print(f"benchmark: {output / BENCHMARK_FILE}; gallery: {output / GALLERY_FILE}")


def _default_folder(checkpoint: Path, workdir: Path | None, kind: str) -> Path:
    """`<kind>/` in the workdir, or here; a teacher's beside its student's, not over them."""
    if workdir is None:
        return Path(kind)
    of_teacher = checkpoint.is_relative_to(workdir / "teacher")
    if of_teacher and (workdir / "student").is_dir():
        return workdir / kind / "teacher"
    return workdir / kind


def _choose(
    flags: argparse.Namespace, predictor: Predictor, workdir: Path | None
) -> tuple[list[Subject], dict[str, Any], dict[str, int] | None]:
    """The images that the flags mean, the record of it, and groups of copies if they are known."""
    from fakd_jax.audit.audit import find_audit
    from fakd_jax.explanation.subjects import data_record, subjects_from_dataset
    from fakd_jax.runs.workdir import choose_ids, data_cache_dir, open_data

    split = flags.split or "test"
    per_class = 1 if flags.per_class is None else flags.per_class
    dataset = open_data(predictor.metadata, flags.data, cache_dir=flags.cache_dir)
    chosen = choose_ids(dataset, split, workdir)
    subjects = subjects_from_dataset(
        dataset,
        chosen.ids,
        predictor.class_names,
        per_class=per_class,
        seed=flags.seed,
        masks=Path(flags.masks) if flags.masks else None,
    )
    record = data_record(dataset, split, chosen.origin, per_class)
    if not flags.benchmark:
        return subjects, record, None
    audit = find_audit(dataset, data_cache_dir(predictor.metadata, flags.cache_dir))
    return subjects, record, audit.groups if audit else None


if __name__ == "__main__":
    run_command(main)
