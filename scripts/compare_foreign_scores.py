"""Compares scores of foreign input on a trained network.

    python scripts/compare_foreign_scores.py --checkpoint DIR [--data SOURCE] [--cache-dir DIR]

Each score is fitted to training images of the run and gets a threshold from its validation images.
Printed are the share of real test images rejected, and for each set of foreign images the AUROC
against the test images and the share rejected; last, the share found poor by image quality.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from foreign.images import foreign_sets
from foreign.scores import Outputs, Score, fit_scores

from fakd_jax.cli.runner import CommandParser, integer, run_command, use_compilation_cache
from fakd_jax.data.appearance import Appearance
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.pipeline import eval_batches
from fakd_jax.evaluation.setup import open_predictor
from fakd_jax.inference.predictor import Predictor
from fakd_jax.metrics.resampling import group_numbers, proportion
from fakd_jax.reference.fit import FALSE_REJECTIONS, MAX_IMAGES, draw
from fakd_jax.reference.foreign import tolerance_threshold
from fakd_jax.reference.quality import QualityLimits, measure
from fakd_jax.reporting.numbers import decimal, percent
from fakd_jax.reporting.tables import text_table
from fakd_jax.runs.own_split import choose_ids, own_split
from fakd_jax.runs.workdir import find_workdir, open_data


def main(argv: list[str]) -> None:
    parser = CommandParser(prog="compare_foreign_scores.py", description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True, help="a workdir")
    parser.add_argument("--data", help="(default: the training data)")
    parser.add_argument("--cache-dir", help="of prepared data")
    parser.add_argument("--seed", type=integer(0), default=0, help="of all random choices [0]")
    flags = parser.parse_args(argv)
    use_compilation_cache()
    predictor = open_predictor(flags.checkpoint)
    dataset = open_data(predictor.metadata, flags.data, cache_dir=flags.cache_dir)
    workdir, metadata = find_workdir(predictor.checkpoint), predictor.metadata
    splits = {part: choose_ids(dataset, part, workdir, metadata).ids for part in ("train", "val")}
    drawn = draw(splits["train"], MAX_IMAGES, flags.seed)
    own = own_split(dataset, workdir)
    units = group_numbers(splits["val"], own.found.groups if own else {})
    tested = choose_ids(dataset, "test", workdir, metadata).ids
    training, training_images = outputs_of(predictor, dataset, drawn)
    validation, _ = outputs_of(predictor, dataset, splits["val"])
    real, real_images = outputs_of(predictor, dataset, tested)
    size = predictor.preprocessing.image_size
    sets = foreign_sets(real_images, size, flags.seed)
    foreign = {name: outputs_of_images(predictor, images) for name, images in sets.items()}
    print(
        f"{predictor.arch}: {len(drawn):,} training, {len(splits['val']):,} validation, "
        f"{len(tested):,} test images of {dataset.name}; seed {flags.seed}\n"
    )
    scores = fit_scores(training)
    print(
        table(
            [row(name, score, validation, units, real, foreign) for name, score in scores.items()]
        )
    )
    appearance = Appearance.of_training(metadata) or Appearance.of(dataset, drawn, size)
    limits = QualityLimits.of(list(map(measure, training_images)), appearance, size)
    everything = {"real test images": real_images, **sets}
    poor = {
        name: f"{np.mean([bool(limits.reasons(image)) for image in images]):.1%} of {len(images)}"
        for name, images in everything.items()
    }
    print("\npoor: " + "; ".join(f"{name} {share}" for name, share in poor.items()))


def outputs_of(
    predictor: Predictor, dataset: ImageDataset, ids: Sequence[str]
) -> tuple[Outputs, list[np.ndarray]]:
    """What the network computes of images, and the images themselves."""
    size, parts, images = predictor.preprocessing.image_size, [], []
    for batch in eval_batches(dataset, ids, batch_size=predictor.batch_size, image_size=size):
        mask = np.asarray(batch["mask"])
        computed = predictor.features_and_logits(batch["image"])
        parts.append([values[mask] for values in (*computed, np.asarray(batch["label"]))])
        images += list(batch["image"][mask])
    return Outputs(*map(np.concatenate, zip(*parts, strict=True))), images


def outputs_of_images(predictor: Predictor, images: Sequence[np.ndarray]) -> Outputs:
    """What the network computes of images of its input size, which have no classes."""
    parts = [
        predictor.features_and_logits(np.stack(images[start : start + predictor.batch_size]))
        for start in range(0, len(images), predictor.batch_size)
    ]
    features, logits = map(np.concatenate, zip(*parts, strict=True))
    return Outputs(features, logits, np.zeros(len(images), np.int32))


def row(
    name: str,
    score: Score,
    validation: Outputs,
    units: np.ndarray,
    real: Outputs,
    foreign: dict[str, Outputs],
) -> dict[str, str]:
    """A score's row of the table: cells by heading; `units` are the validation images' groups."""
    from sklearn.metrics import roc_auc_score

    threshold = tolerance_threshold(score.of(validation), FALSE_REJECTIONS, units=units)
    of_real = score.of(real)
    found = {key: score.of(outputs) for key, outputs in foreign.items()}
    aurocs = {
        key: roc_auc_score(
            np.repeat([0, 1], [len(of_real), len(scores)]), np.concatenate([of_real, scores])
        )
        for key, scores in found.items()
    }
    rejected = proportion(int((of_real > threshold).sum()), len(of_real))
    return {
        "score": name,
        "stored": f"{4 * score.stored / 1e6:.2f} MB",
        "real rejected": percent(rejected["rate"], rejected["ci95"]),
        "mean AUROC": decimal(float(np.mean(list(aurocs.values())))),
        **{
            key: f"{aurocs[key]:.3f} {np.mean(scores > threshold):4.0%}"
            for key, scores in found.items()
        },
    }


def table(rows: Sequence[dict[str, str]]) -> str:
    """The rows, the sets of foreign images in a table of their own."""
    headings = list(rows[0])
    summary, sets = headings[:4], [headings[0], *headings[4:]]
    return "\n\n".join(
        text_table(columns, [[each[column] for column in columns] for each in rows])
        for columns in (summary, sets)
    )


if __name__ == "__main__":
    run_command(main)
