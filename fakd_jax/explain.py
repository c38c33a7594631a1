"""Explains a checkpoint's decisions on images, or benchmarks the methods that do: `fakd explain`.

fakd explain --checkpoint DIR --image FILE [FILE ...]
fakd explain --checkpoint DIR --data SOURCE --split test --per-class N
fakd explain --checkpoint DIR --data SOURCE --per-class N --benchmark
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakd_jax.cli.checkpoint_flags import CHECKPOINT, CLASS_MAP, DATA
from fakd_jax.cli.runner import (
    CallableModule,
    CommandParser,
    integer,
    run_command,
    use_compilation_cache,
)
from fakd_jax.errors import UserError
from fakd_jax.runtime.distributed import refuse_several_processes

if TYPE_CHECKING:
    from fakd_jax.explanation.result import Explainer
    from fakd_jax.explanation.scene.builder import SceneBuilder
    from fakd_jax.explanation.subjects import Subject
    from fakd_jax.explanation.target import TargetRule
    from fakd_jax.inference.network import Network
    from fakd_jax.inference.predictor import Predictor

FUNCTION = "fakd_jax.explanation.api:explain_image"


def make_parser() -> CommandParser:
    """The flags of `fakd explain`."""
    parser = CommandParser(
        prog="fakd explain",
        description="Explains a checkpoint's decisions on images. Images are resized to the "
        "network's input first, so that what is explained is what the network was given.",
    )
    add = parser.add_argument
    add("--checkpoint", required=True, help=CHECKPOINT)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--image", nargs="+", metavar="FILE", help="image files to explain")
    source.add_argument("--data", metavar="SOURCE", help=DATA)
    add("--class-map", default="", metavar="NAME=CLASS,...", help=f"with --data: {CLASS_MAP}")
    add("--split", choices=("test", "val", "train"), help="with --data [test]")
    add("--per-class", type=integer(1), metavar="N", help="with --data: images per class [1]")
    add("--method", nargs="+", metavar="NAME", help="[lime; with --benchmark: all]")
    which = "class to explain: a name, predicted, runner-up or, with --data, true; A:B: A against B"
    add("--class", dest="rule", metavar="A[:B]", help=f"{which} [predicted]")
    samples = "perturbations per image [LIME: until its top is stable]"
    add("--num-samples", type=int, metavar="N", help=samples)
    add("--max-samples", type=int, metavar="N", help="limit until LIME's top is stable [4000]")
    add("--kernel-width", type=float, metavar="W", help="of LIME's exponential kernel [0.25]")
    layer = "feature map of CAMs [the last above 1 × 1; hires-cam: of a quarter of the side]"
    add("--layer", metavar="NAME", help=layer)
    add("--steps", type=int, metavar="N", help="gradients of integrated-gradients [64]")
    paper = "paper: quickshift, mean-colour infill, background included, 1000 samples [default]"
    add("--preset", choices=("default", "paper"), default="default", help=paper)
    add("--segmenter", metavar="NAME", help="slic or quickshift [slic]")
    add("--superpixels", type=int, metavar="N", help="approximate number for slic [48]")
    add("--hide", metavar="HOW", help="infill of hidden superpixels: mean, blur or inpaint [blur]")
    add("--whole-image", action="store_true", help="include the background around the head")
    figures = "leave out figure.png, overlay.png and attribution_original.*"
    add("--no-figures", action="store_true", help=figures)
    restart = "explain all images again where --output has explanations by other settings"
    add("--restart", action="store_true", help=restart)
    add("--top", type=integer(1), default=3, help="superpixels to show [3]")
    compare = "compare methods: stability, faithfulness, dependence on weights, localisation"
    add("--benchmark", action="store_true", help=compare)
    runs = "with --benchmark: runs of each stochastic method [3]"
    add("--seeds", type=integer(2), metavar="N", help=runs)
    networks = "with --benchmark: networks with re-initialised weights to compare with [2]"
    add("--reinitialisations", type=integer(0), metavar="N", help=networks)
    masks = "with --benchmark and --data: lesion masks, DIR/<id with suffix .png>, or own [own]"
    add("--masks", metavar="DIR", help=masks)
    only = (
        "with --benchmark and masks: only whether evidence lies in the lesion, of all such images"
    )
    add("--localisation", action="store_true", help=only)
    add("--output", metavar="DIR", help="[explanation/ or benchmark/ in the workdir]")
    add("--seed", type=integer(0, 2**31 - 1), default=0, help="of all random choices [0]")
    add("--batch-size", type=integer(1), default=32, help="images per prediction batch [32]")
    precision = "float32, or auto: bfloat16 on a GPU or TPU [float32]"
    add("--dtype", choices=("float32", "bfloat16", "auto"), default="float32", help=precision)
    add("--cache-dir", metavar="DIR", help="folder of prepared data")
    return parser


def main(argv: list[str]) -> None:
    """Explains as the flags ask; flags and image files are checked before any work."""
    flags = make_parser().parse_args(argv)
    _require_consistent(flags)
    from fakd_jax.explanation.methods.registry import METHODS
    from fakd_jax.explanation.options import choose_explainers, choose_scene_builder
    from fakd_jax.explanation.subjects import require_readable, subjects_from_files
    from fakd_jax.explanation.target import PREDICTED, TRUE, TargetRule

    scene_builder = choose_scene_builder(
        flags.preset,
        segmenter=flags.segmenter,
        superpixels=flags.superpixels,
        hide=flags.hide,
        whole_image=flags.whole_image,
    )
    options = ("num_samples", "max_samples", "kernel_width", "layer", "steps")
    explainers = choose_explainers(
        flags.method or (list(METHODS) if flags.benchmark else ["lime"]),
        flags.preset,
        {name: getattr(flags, name) for name in options},
        top=flags.top,
    )
    require_readable(flags.image or [])

    refuse_several_processes("fakd explain")
    use_compilation_cache()
    from fakd_jax.inference.adapter import network_of
    from fakd_jax.inference.predictor import Predictor
    from fakd_jax.runs.workdir import find_workdir

    predictor = Predictor.from_checkpoint(
        flags.checkpoint, batch_size=flags.batch_size, dtype=flags.dtype
    )
    rule = TargetRule.parse(flags.rule or PREDICTED, predictor.class_names)
    if flags.image and TRUE in (rule.of, rule.against):
        raise UserError("the true classes of --image are not known: name a class, or give --data")
    workdir = find_workdir(predictor.checkpoint)
    data = groups = None
    subjects = subjects_from_files(flags.image or [], predictor.preprocessing.pixels)
    _warn_of_unlike(subjects, predictor)
    if flags.data:
        subjects, data, groups = _choose_subjects(flags, predictor, workdir)
    network = network_of(predictor, workdir)
    kind = "benchmark" if flags.benchmark else "explanation"
    output = Path(flags.output or _default_output(predictor.checkpoint, workdir, kind))
    if flags.benchmark:
        _benchmark(flags, subjects, network, explainers, scene_builder, output, data, groups)
    else:
        _explain(flags, rule, subjects, network, explainers[0], scene_builder, output, data)


def _warn_of_unlike(subjects: list[Subject], predictor: Predictor) -> None:
    """Prints which images are much darker, brighter or flatter than the training images."""
    from fakd_jax.data.appearance import Appearance, describe_differences

    if known := Appearance.of_training(predictor.metadata):
        differences = {subject.id: known.difference(subject.read()) for subject in subjects}
        if unlike := describe_differences(differences):
            print(unlike)


def _require_consistent(flags: argparse.Namespace) -> None:
    """Raises a UserError for flags that do not go together."""
    if flags.image and (flags.split or flags.per_class is not None):
        raise UserError("--split and --per-class choose from --data; leave them out with --image")
    benchmark_only = ("seeds", "reinitialisations", "masks")
    given = [f"--{name}" for name in benchmark_only if getattr(flags, name) is not None]
    given += ["--localisation"] * flags.localisation
    if given and not flags.benchmark:
        raise UserError(f"{', '.join(given)} can only be used with --benchmark")
    if flags.localisation and not flags.data:
        raise UserError("--localisation needs images with lesion masks: give --data")
    for name in ("masks", "class_map"):
        if getattr(flags, name) and not flags.data:
            raise UserError(f"--{name.replace('_', '-')} can only be used with --data")
    explain_only = {"--no-figures": flags.no_figures, "--restart": flags.restart}
    explain_only["--class"] = flags.rule
    if names := [name for name, value in explain_only.items() if value and flags.benchmark]:
        raise UserError(f"{', '.join(names)} cannot be used with --benchmark")
    if not flags.benchmark and len(flags.method or []) > 1:
        raise UserError("give one --method; --benchmark compares several")


def _explain(
    flags: argparse.Namespace,
    rule: TargetRule,
    subjects: list[Subject],
    network: Network,
    explainer: Explainer,
    scene_builder: SceneBuilder,
    output: Path,
    data: dict[str, Any] | None,
) -> None:
    """Explains the images with one method."""
    from fakd_jax.explanation.progress import Progress
    from fakd_jax.explanation.run import explain_images
    from fakd_jax.runs.files import EXPLANATIONS_FILE, EXPLANATIONS_PAGE

    with Progress(len(subjects), explainer.num_predictions + 1) as progress:
        explain_images(
            subjects,
            network,
            explainer,
            scene_builder,
            output,
            rule=rule,
            top=flags.top,
            seed=flags.seed,
            data=data,
            figures=not flags.no_figures,
            restart=flags.restart,
            on_predictions=progress.on_predictions,
            on_known=progress.on_known,
            on_done=progress.on_done,
        )
    print(f"explanations: {output / EXPLANATIONS_PAGE} (list: {output / EXPLANATIONS_FILE})")


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
    """Measures the methods and prints the benchmark."""
    from fakd_jax.explanation.benchmark.run import Plan, run_benchmark
    from fakd_jax.explanation.methods.registry import CONTROLS, create_explainer
    from fakd_jax.explanation.progress import CellProgress
    from fakd_jax.explanation.report.benchmark import benchmark_table
    from fakd_jax.runs.files import BENCHMARK_FILE, GALLERY_FILE

    plan = Plan(
        methods=methods,
        controls=[create_explainer(name) for name in CONTROLS],
        scene_builder=scene_builder,
        **{
            name: value
            for name in ("seeds", "reinitialisations")
            if (value := getattr(flags, name)) is not None
        },
        top=flags.top,
        seed=flags.seed,
        localisation_only=flags.localisation,
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


def _default_output(checkpoint: Path, workdir: Path | None, kind: str) -> Path:
    """`<kind>/` in the workdir; `<kind>/teacher/` for a teacher that has a student."""
    if workdir is None:
        return Path(kind)
    has_student = checkpoint.is_relative_to(workdir / "teacher") and (workdir / "student").is_dir()
    return workdir / kind / "teacher" if has_student else workdir / kind


def _choose_subjects(
    flags: argparse.Namespace, predictor: Predictor, workdir: Path | None
) -> tuple[list[Subject], dict[str, Any], dict[str, int] | None]:
    """The images to explain, where they come from, and groups of duplicates if data was audited."""
    from fakd_jax.audit.record import find_audit
    from fakd_jax.data.sources import OWN_MASKS, open_masks
    from fakd_jax.explanation.subjects import data_record, subjects_from_dataset
    from fakd_jax.runs.own_split import choose_ids
    from fakd_jax.runs.workdir import data_cache_dir, open_data

    split = flags.split or "test"
    per_class = 1 if flags.per_class is None else flags.per_class
    dataset = open_data(
        predictor.metadata, flags.data, cache_dir=flags.cache_dir, class_map=flags.class_map
    )
    masks = None
    if flags.masks and flags.masks != OWN_MASKS:
        cache_dir = data_cache_dir(predictor.metadata, flags.cache_dir)
        masks = open_masks(flags.masks, dataset, cache_dir=cache_dir)
    chosen = choose_ids(dataset, split, workdir, predictor.metadata)
    if chosen.note:
        print(chosen.note)
    ids = chosen.ids
    if flags.localisation:
        known, per_class = masks or dataset.masks, flags.per_class
        ids = tuple(id for id in ids if known.of(id))
        if not ids:
            raise UserError(
                f"none of the {len(chosen.ids):,} images has a lesion mask; give --masks"
            )
    subjects = subjects_from_dataset(
        dataset,
        ids,
        predictor.class_names,
        per_class=per_class,
        seed=flags.seed,
        masks=masks,
    )
    record = data_record(dataset, split, chosen.origin, per_class)
    if not flags.benchmark:
        return subjects, record, None
    audit = find_audit(dataset, data_cache_dir(predictor.metadata, flags.cache_dir))
    return subjects, record, audit.groups if audit else None


sys.modules[__name__].__class__ = CallableModule  # `fakd_jax.explain(...)` explains one image

if __name__ == "__main__":
    run_command(main)
