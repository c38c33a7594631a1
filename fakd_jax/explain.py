"""Explains a checkpoint's decisions on images: figures and numbers.

    python -m fakd_jax.explain --checkpoint DIR --image FILE [FILE ...]
    python -m fakd_jax.explain --checkpoint DIR --data SOURCE --split test --per_class N

Each image's predicted class is explained at the network's input size: images are resized first.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakd_jax.cli import DoorParser, run_door, use_compilation_cache
from fakd_jax.errors import UserError

if TYPE_CHECKING:
    from fakd_jax.explanation.subjects import Subject
    from fakd_jax.predictor import Predictor


def _whole_number(least: int) -> Callable[[str], int]:
    """A flag's type: a whole number that is not below `least`."""

    def convert(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} up")
        return int(text)

    return convert


def make_parser() -> DoorParser:
    """The flags of `python -m fakd_jax.explain`."""
    parser = DoorParser(
        prog="python -m fakd_jax.explain",
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
        "--per_class",
        type=_whole_number(1),
        metavar="N",
        help="with --data: explain N images of each class, chosen by the seed [1]",
    )
    parser.add_argument("--method", default="lime", help="how to explain [lime]")
    parser.add_argument(
        "--num_samples",
        type=int,
        metavar="N",
        help="perturbed images for one image [LIME: as many as it takes until the top is stable]",
    )
    parser.add_argument(
        "--max_samples", type=int, metavar="N", help="the most that LIME takes until then [4000]"
    )
    parser.add_argument("--layer", metavar="NAME", help="of Grad-CAM [the last with a place]")
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
    parser.add_argument("--hide", metavar="HOW", help="by mean, blur or inpaint [inpaint]")
    parser.add_argument(
        "--whole_image", action="store_true", help="let the air around the head be evidence too"
    )
    parser.add_argument("--top", type=_whole_number(1), default=3, help="superpixels to show [3]")
    parser.add_argument("--output", metavar="DIR", help="[explanation/ in the workdir]")
    parser.add_argument(
        "--seed", type=_whole_number(0), default=0, help="of superpixels and perturbations [0]"
    )
    parser.add_argument(
        "--batch_size", type=_whole_number(1), default=32, help="images predicted at once [32]"
    )
    parser.add_argument("--cache_dir", metavar="DIR", help="where prepared data is kept")
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
        raise UserError("--split and --per_class choose from --data; leave them out with --image")
    from fakd_jax.explanation.options import choose_explainers, choose_staging
    from fakd_jax.explanation.subjects import subjects_from_files

    staging = choose_staging(
        flags.preset,
        segmenter=flags.segmenter,
        superpixels=flags.superpixels,
        hide=flags.hide,
        whole_image=flags.whole_image,
    )
    (explainer,) = choose_explainers(
        [flags.method],
        flags.preset,
        {
            "num_samples": flags.num_samples,
            "max_samples": flags.max_samples,
            "layer": flags.layer,
        },
    )
    subjects = subjects_from_files(flags.image or [])

    use_compilation_cache()
    from fakd_jax.explanation.progress import Progress
    from fakd_jax.explanation.run import explain_images
    from fakd_jax.explanation.subjects import network_of
    from fakd_jax.predictor import Predictor
    from fakd_jax.workdir import find_workdir

    predictor = Predictor.from_checkpoint(flags.checkpoint, batch_size=flags.batch_size)
    workdir = find_workdir(predictor.checkpoint)
    data = None
    if flags.data:
        subjects, data = _choose(flags, predictor, workdir)
    output = Path(flags.output) if flags.output else _default_output(predictor.checkpoint, workdir)
    with Progress(len(subjects), explainer.num_predictions + 1) as progress:
        explain_images(
            subjects,
            network_of(predictor, workdir),
            explainer,
            staging,
            output,
            top=flags.top,
            seed=flags.seed,
            data=data,
            on_predictions=progress.on_predictions,
            on_done=progress.on_done,
        )
    print(f"explanations: {output} (list: {output / 'explanations.json'})")


def _default_output(checkpoint: Path, workdir: Path | None) -> Path:
    """`explanation/` in the workdir, or here; a teacher's beside its student's, not over them."""
    if workdir is None:
        return Path("explanation")
    of_teacher = checkpoint.is_relative_to(workdir / "teacher")
    if of_teacher and (workdir / "student").is_dir():
        return workdir / "explanation" / "teacher"
    return workdir / "explanation"


def _choose(
    flags: argparse.Namespace, predictor: Predictor, workdir: Path | None
) -> tuple[list[Subject], dict[str, Any]]:
    """The images that `--data`, `--split` and `--per_class` mean, and the record of it."""
    from fakd_jax.explanation.subjects import data_record, subjects_from_dataset
    from fakd_jax.workdir import choose_ids, open_data

    split = flags.split or "test"
    per_class = 1 if flags.per_class is None else flags.per_class
    dataset = open_data(predictor.metadata, flags.data, cache_dir=flags.cache_dir)
    chosen = choose_ids(dataset, split, workdir)
    subjects = subjects_from_dataset(
        dataset, chosen.ids, predictor.class_names, per_class=per_class, seed=flags.seed
    )
    return subjects, data_record(dataset, split, chosen.origin, per_class)


if __name__ == "__main__":
    run_door(main)
