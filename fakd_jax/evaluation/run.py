"""The evaluation of a checkpoint: collect, measure, write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fakd_jax.evaluation.collect import collect
from fakd_jax.evaluation.foreign import Assessment, open_reference
from fakd_jax.evaluation.latency import measure_latency
from fakd_jax.evaluation.measure import measure
from fakd_jax.evaluation.provenance import describe_provenance
from fakd_jax.evaluation.report.explained import MISTAKES_EXPLAINED
from fakd_jax.evaluation.setup import open_predictor, open_setup, predict, require_split
from fakd_jax.evaluation.stress import find_stress
from fakd_jax.evaluation.write import write_evaluation
from fakd_jax.metrics.detection import PREVALENCES, SPECIFICITIES
from fakd_jax.runs.workdir import find_workdir
from fakd_jax.runtime.atomic_files import require_writable


def evaluate_checkpoint(
    checkpoint: Path | str,
    *,
    source: str | None = None,
    split: str = "test",
    output: Path | str | None = None,
    cache_dir: Path | str | None = None,
    class_map: str = "",
    window: str = "",
    training_data: str | None = None,
    batch_size: int | None = None,
    dtype: str | None = None,
    allow_untrained: bool = False,
    calibration: bool = True,
    compare: Path | str | None = None,
    specificities: Sequence[float] = SPECIFICITIES,
    prevalences: Sequence[float] = PREVALENCES,
    latency: bool = True,
    explain_mistakes: int = MISTAKES_EXPLAINED,
    log: Callable[[str], object] = print,
) -> dict[str, Any]:
    """Evaluates a checkpoint on one split of the data and writes the report.

    Writes `metrics.json`, `predictions.csv`, `images.csv`, `table2.txt`, `report.html`,
    `confusion_matrix.png`, `reliability.png` and `risk_coverage.png`; `val_predictions.csv` where
    the run's validation images are known; `duplicate_groups.csv` where the data was audited;
    `roc.png` and `precision_recall.png` where there are images with and without a tumour;
    `curves.png` where the workdir has `metrics.jsonl`. Where the training images are known,
    `reference.npz` and `reference.json` keep what they look like to the network, and
    `foreign_images.csv` has which of the images evaluated are foreign or poor. Of data that the
    network was not trained on, copies of images it has learnt from are left out and listed in
    `copies_of_training.csv`. A stress test of the same network and images in `stress/`
    (:mod:`fakd_jax.stress`) is summarised and linked to.

    Args:
      checkpoint: a workdir (its best student), or any checkpoint in it.
      source: of the data, see :func:`fakd_jax.data.sources.open_dataset`; None for the training
        data.
      split: "test", "val" or "train".
      output: folder of the report; None for `evaluation/` in the workdir (`evaluation/teacher/`
        for a teacher), or in the current folder if there is no workdir; `evaluation-NAME/` for
        images other than the run's own test images.
      cache_dir: of prepared data; None for the checkpoint's, else the user's.
      class_map: other names for the data's classes, NAME=CLASS,…; see
        :func:`fakd_jax.data.class_names.rename_classes`.
      window: another window for grey levels of more than 8 bits than the checkpoint's, see
        :func:`fakd_jax.data.pixels.window.parse_window`.
      training_data: source of the images learnt from, which copies are looked for of in other data;
        None for the one that the checkpoint names.
      batch_size: images computed at once; None for the training's, so that training and
        evaluation report the very same numbers.
      dtype: see :meth:`fakd_jax.inference.predictor.Predictor.from_checkpoint`; None for the
        training's.
      allow_untrained: see there.
      calibration: whether to choose a temperature and a reject threshold on validation images, and
        to judge which images are foreign or poor.
      compare: another model's evaluation of the same images, see
        :func:`fakd_jax.evaluation.baseline.open_baseline`.
      specificities: at which the sensitivity for any tumour is reported.
      prevalences: of tumours, for which predictive values are reported.
      latency: whether to time the network.
      explain_mistakes: how many of the most confident mistakes the report explains.
      log: called with lines for the user.

    Returns:
      The content of `metrics.json`.

    Raises:
      UserError: no such checkpoint, data, split or other evaluation; classes other than the
        checkpoint's; an output folder that cannot be written.
    """
    require_split(split)
    own = open_predictor(
        checkpoint, batch_size=batch_size, dtype=dtype, allow_untrained=allow_untrained
    )
    workdir = find_workdir(own.checkpoint)
    require_writable(Path(output) if output else workdir or Path())  # before any time is spent
    setup = open_setup(
        own,
        workdir,
        source=source,
        split=split,
        cache_dir=cache_dir,
        class_map=class_map,
        window=window,
        training_data=training_data,
        log=log,
    )
    folder = Path(output) if output else setup.folder
    predictor = setup.predictor  # its outputs in the order of the data's classes
    reference, unknown = open_reference(own, setup, log) if calibration else (None, [])
    assessment = Assessment(setup, reference) if reference else None
    collected = collect(
        setup,
        calibration=calibration,
        compare=compare,
        log=log,
        predict=assessment.predict if assessment else predict,
    )
    provenance = describe_provenance(predictor, setup.dataset, split, setup.images, workdir)
    measured = measure(collected, specificities=specificities, prevalences=prevalences)
    metrics = measured | {
        "notes": [*unknown, *measured["notes"]],
        "foreign_and_poor": assessment and assessment.record(collected.predictions.wrong),
        "external": setup.external and setup.external.record(setup.images.apart),
        "stress": find_stress(folder, provenance),
        "latency": measure_latency(predictor) if latency else None,
        "provenance": provenance,
    }
    table = write_evaluation(folder, setup, collected, metrics, assessment, explain_mistakes)
    log(f"\n{table}")
    log(f"report: {folder} ({', '.join(sorted(path.name for path in folder.glob('[a-z]*.*')))})")
    return metrics
