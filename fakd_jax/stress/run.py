"""A stress test: predict, measure, summarise, write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fakd_jax.errors import UserError
from fakd_jax.evaluation.setup import Setup, open_predictor, open_setup, require_split
from fakd_jax.inference.predictor import Predictor
from fakd_jax.runs.files import LOCK_FILE, STRESS_FOLDER, STRESS_PREDICTIONS_FOLDER
from fakd_jax.runs.workdir import find_workdir
from fakd_jax.runtime.atomic_files import locked, require_writable
from fakd_jax.shifts.families import FAMILIES, Family
from fakd_jax.stress.conditions import (
    SEVERITIES,
    choose_families,
    make_conditions,
)
from fakd_jax.stress.examples import make_example
from fakd_jax.stress.images_file import stress_images_csv
from fakd_jax.stress.journal import Journal, identity_of
from fakd_jax.stress.measure import Measured
from fakd_jax.stress.predict import predict_conditions
from fakd_jax.stress.progress import Progress
from fakd_jax.stress.report import make_report
from fakd_jax.stress.shifting import make_shift
from fakd_jax.stress.write import write_stress

Log = Callable[[str], object]


def stress_checkpoint(
    checkpoint: Path | str,
    *,
    source: str | None = None,
    split: str = "test",
    output: Path | str | None = None,
    compare_with: Path | str | None = None,
    families: Sequence[str] = (),
    severities: Sequence[int] = SEVERITIES,
    seed: int = 0,
    cache_dir: Path | str | None = None,
    class_map: str = "",
    window: str = "",
    training_data: str | None = None,
    batch_size: int | None = None,
    dtype: str | None = None,
    allow_untrained: bool = False,
    calibration: bool = True,
    log: Log = print,
    known_families: Mapping[str, Family] = FAMILIES,
) -> dict[str, Any]:
    """Measures a checkpoint on one split of the data under shifts of its images.

    Writes `stress.json`, `stress.csv`, `stress_images.csv`, `stress.png` and `stress.html`, and the
    logits of every condition under `predictions/`. Conditions whose logits are there already are
    not predicted again, so that a stopped call is continued by repeating it.

    Args:
      checkpoint: a workdir (its best student), or any checkpoint in it.
      source: of the data; None for the training data.
      split: "test", "val" or "train".
      output: folder of the report; None for `stress/` in the folder of the evaluation.
      compare_with: another workdir or checkpoint, measured on the same images; None for none.
      families: names of shifts; all if empty.
      severities: some of 1 to 5.
      seed: of all random choices, not negative.
      cache_dir: as :func:`fakd_jax.evaluation.run.evaluate_checkpoint`.
      class_map: see there.
      window: see there.
      training_data: see there.
      batch_size: see there.
      dtype: see there.
      allow_untrained: see there.
      calibration: see there; the temperature and the threshold are those of the evaluation.
      log: called with lines for the user.
      known_families: the shifts by name.

    Returns:
      The content of `stress.json`.

    Raises:
      UserError: no such checkpoint, data, split, family or severity; classes other than the
        checkpoint's; another network on other images; an output folder that cannot be written, or
        that another process writes to.
    """
    require_split(split)
    if seed < 0:
        raise UserError(f"seed is {seed}; it must not be negative")
    chosen = choose_families(known_families, families)
    conditions = make_conditions(chosen, severities)
    shifts = {name: make_shift(family, seed) for name, family in chosen.items()}

    def opened(path: Path | str) -> Predictor:
        return open_predictor(
            path, batch_size=batch_size, dtype=dtype, allow_untrained=allow_untrained
        )

    predictors = [opened(path) for path in (checkpoint, compare_with) if path is not None]
    own_workdir = find_workdir(predictors[0].checkpoint)
    require_writable(Path(output) if output else own_workdir or Path())  # before any time is spent
    setups: list[Setup] = []
    for predictor in predictors:
        data = setups[0].dataset.source if setups else source
        workdir = find_workdir(predictor.checkpoint)
        setup = open_setup(
            predictor,
            workdir,
            source=data,
            split=split,
            cache_dir=cache_dir,
            class_map=class_map,
            window=window,
            training_data=training_data,
            log=log,
        )
        if setups:
            _require_same_images(setups[0], setup, compare_with)
        setups.append(setup)
    folder = Path(output) if output else _default_folder(setups[0])
    refusal = f"another process writes to {folder}; wait for it, or give --output"
    with locked(folder / LOCK_FILE, refusal=refusal):
        stressed = []
        for setup in setups:
            roots = (folder, _default_folder(setup))
            journal = Journal(
                identity_of(setup.predictor), [root / STRESS_PREDICTIONS_FOLDER for root in roots]
            )
            with Progress(conditions, len(setup.images.ids), log) as progress:
                stressed.append(
                    predict_conditions(
                        setup,
                        conditions,
                        shifts,
                        journal,
                        seed=seed,
                        calibration=calibration,
                        log=log,
                        on_condition=progress.on_condition,
                        on_images=progress.on_images,
                    )
                )
        # The tests are paired: of both networks the same images are in one group.
        groups = stressed[0].collected.groups
        networks = [Measured.of(each, groups) for each in stressed]
        report = make_report(setups, networks, chosen, seed=seed)
        example = make_example(setups[0], networks[0], shifts, report["example"]["id"])
        text = write_stress(folder, report, stress_images_csv(networks[0]), example)
    log(f"\n{text}\nreport: {folder}")
    return report


def _default_folder(setup: Setup) -> Path:
    """`stress/` in the folder of the evaluation."""
    return setup.folder / STRESS_FOLDER


def _require_same_images(setup: Setup, other: Setup, path: Path | str | None) -> None:
    """Refuses a network with other images or classes of its own.

    Raises:
      UserError: the two differ.
    """
    ids, others = setup.images.ids, other.images.ids
    if ids != others:
        differing = min({*ids} ^ {*others}, default="their order")
        raise UserError(
            f"the {setup.split} images of {path} are others ({len(others):,} there, {len(ids):,} "
            f"here; {differing} is in only one); compare networks of one split of the same data"
        )
