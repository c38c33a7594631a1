"""The paper's experiment: a teacher fine-tuned or given, then a student distilled from it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import jax
from flax import nnx
from ml_collections import ConfigDict

from fakd_jax.audit.audit import audit_copies
from fakd_jax.data.augment import Augmentation
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.pipeline import CachedImages, steps_per_epoch
from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.data.sources import open_dataset
from fakd_jax.data.splits import NEED_GROUPS, Split, make_split
from fakd_jax.distillation.objective import Objective
from fakd_jax.distillation.projection import Projection
from fakd_jax.errors import UserError
from fakd_jax.experiment.settings import (
    PLACE_KEYS,
    holds_runs_config,
    keep_config,
    tell_negative_class,
    validate,
)
from fakd_jax.experiment.teacher_checks import require_same_task, require_unseen, teacher_checkpoint
from fakd_jax.models import create_model, feature_shapes
from fakd_jax.models.checkpoint import build_model
from fakd_jax.models.torch_weights.pretrained import load_pretrained
from fakd_jax.runs.files import CONFIG_FILE, PHASES, SPLIT_FILE
from fakd_jax.runtime.atomic_files import remove
from fakd_jax.runtime.precision import compute_dtype
from fakd_jax.training.loop import Phase, PhaseResult, run_phase
from fakd_jax.training.metric_log import LOGGER
from fakd_jax.training.optimizer import adamw, learning_rate_schedule
from fakd_jax.training.seeds import derive_seed
from fakd_jax.training.state import Learner
from fakd_jax.training.step import Teacher
from fakd_jax.version import __version__


@dataclasses.dataclass(frozen=True)
class ExperimentResult:
    """What a run left.

    Attributes:
      teacher: checkpoint of the teacher that was used or trained; None where none was needed.
      student: checkpoint of the best student; None where only a teacher was trained.
    """

    teacher: Path | None
    student: Path | None


@dataclasses.dataclass(frozen=True)
class ExperimentData:
    """Data that several runs may share.

    Attributes:
      dataset: the data.
      images: its images, decoded once at the size of `config.data.image_size`, if they fit.
    """

    dataset: ImageDataset
    images: CachedImages


def open_experiment_data(config: ConfigDict) -> ExperimentData:
    """Opens the data that `config.data` names.

    Raises:
      UserError: as :func:`fakd_jax.data.sources.open_dataset`.
    """
    dataset = open_dataset(
        config.data.source,
        cache_dir=config.data.cache_dir or None,
        unreadable=config.data.unreadable,
        phantom=config.data.phantom.to_dict(),
        log=LOGGER.info,
    )
    return ExperimentData(dataset, CachedImages(dataset, config.data.image_size))


def run_experiment(
    config: ConfigDict,
    workdir: Path,
    data: ExperimentData | None = None,
    place_keys: Collection[str] = PLACE_KEYS,
) -> ExperimentResult:
    """Runs an experiment from `configs/`, going on where an earlier run of it stopped.

    Args:
      config: as `configs/fakd.py` has it.
      workdir: of the run; see `docs/ARCHITECTURE.md` for what is in it.
      data: of a config with the same `data` group, if it is open already.
      place_keys: the keys that may differ when a run goes on.

    Returns:
      The checkpoints of the teacher and the student.

    Raises:
      UserError: for whatever in the config, the data or the weights does not fit.
      KeyboardInterrupt: interrupted, after saving.
    """
    validate(config)
    if not _has_begun(workdir) and holds_runs_config(config, workdir):
        # What stopped it before its first checkpoint may be mended by another config.
        for file in (SPLIT_FILE, CONFIG_FILE):
            remove(workdir / file)
    keep_config(config, workdir, place_keys)
    data = data or open_experiment_data(config)
    split = _split(config, data.dataset, workdir)
    tell_negative_class(config, data.dataset.class_names)
    experiment = _Experiment(config, workdir, data, split)
    objective = Objective(**config.distillation.to_dict())
    if config.train == "teacher":
        return ExperimentResult(experiment.train_teacher().checkpoint, None)
    if not objective.needs_teacher:
        return ExperimentResult(None, experiment.train_student(objective, None).checkpoint)
    taught_by, teacher = experiment.teacher()
    student = experiment.train_student(objective, teacher)
    return ExperimentResult(taught_by, student.checkpoint)


def _has_begun(workdir: Path) -> bool:
    """Whether a phase of a workdir has left a checkpoint, so that there is something to lose."""
    kept = (workdir / phase / kind for phase in PHASES for kind in ("best", "last"))
    return any(
        child.name.isdecimal() for folder in kept if folder.is_dir() for child in folder.iterdir()
    )


def _split(config: ConfigDict, dataset: ImageDataset, workdir: Path) -> Split:
    """The run's split: read again where it was stored, so that resuming trains on the same."""
    file = workdir / SPLIT_FILE
    if file.is_file():
        split = Split.load(file, dataset)
    else:
        groups, audit = _groups(config, dataset)
        split = make_split(
            dataset,
            kind=config.data.split,
            validation_fraction=config.data.validation_fraction,
            seed=derive_seed(config.seed, "split"),
            groups=groups,
            audit=audit,
            folds=config.data.folds,
            fold=config.data.fold,
        )
        split.save(file)
    LOGGER.info(
        "data: %s %s, %d classes; %d training, %d validation, %d test images; fingerprint %s",
        dataset.name,
        dataset.version,
        len(dataset.class_names),
        len(split.train),
        len(split.val),
        len(split.test),
        dataset.fingerprint[:16],
    )
    return split


def _groups(config: ConfigDict, dataset: ImageDataset) -> tuple[dict[str, int] | None, str | None]:
    """The groups of copies that the split keeps together, and their audit's fingerprint."""
    if config.data.split not in NEED_GROUPS:
        return None, None
    audit = audit_copies(dataset, config.data.cache_dir or None, LOGGER.info)
    return audit.groups, audit.fingerprint


class _Experiment:
    """What all phases of one run share."""

    def __init__(
        self, config: ConfigDict, workdir: Path, data: ExperimentData, split: Split
    ) -> None:
        self.config = config
        self.workdir = workdir
        self.dataset = data.dataset
        # All phases read the same pixels at every epoch: each image is decoded once.
        self.images = data.images
        self.split = split
        self.dtype = compute_dtype(config.dtype)
        self.preprocessing = Preprocessing(
            image_size=config.data.image_size,
            mean=tuple(config.data.mean),
            std=tuple(config.data.std),
        )

    def teacher(self) -> tuple[Path | None, Teacher]:
        """The frozen teacher: given, fine-tuned now, or (only when asked for) untrained."""
        config = self.config.teacher
        if config.checkpoint:
            checkpoint = teacher_checkpoint(Path(config.checkpoint))
            require_unseen(checkpoint, self.dataset, self.split, self.config.data.cache_dir or None)
            return checkpoint, self._load_teacher(checkpoint)
        if config.num_epochs == 0:
            if not config.allow_untrained:
                raise UserError(
                    "config.teacher.num_epochs=0 leaves the teacher's head untrained; give "
                    "config.teacher.checkpoint, or ask for it with config.teacher.allow_untrained"
                )
            LOGGER.info("teacher: head untrained, as asked for")
            return None, Teacher.freeze(self._network("teacher"))
        checkpoint = self.train_teacher().checkpoint
        return checkpoint, self._load_teacher(checkpoint)

    def _load_teacher(self, checkpoint: Path) -> Teacher:
        network, metadata = build_model(
            checkpoint, dtype=self.dtype, num_classes=len(self.dataset.class_names)
        )
        if metadata["head"] != "trained" and not self.config.teacher.allow_untrained:
            raise UserError(
                f"the head of the teacher {checkpoint} is {metadata['head']}; fine-tune it with "
                "configs/teacher.py, or ask for it with config.teacher.allow_untrained=True"
            )
        require_same_task(checkpoint, metadata, self.dataset.class_names, self.preprocessing)
        LOGGER.info("teacher: %s from %s", metadata["arch"], checkpoint)
        return Teacher.freeze(network)

    def train_teacher(self) -> PhaseResult:
        """Fine-tunes the teacher with cross-entropy alone."""
        learner = Learner(self._network("teacher"))
        return run_phase(
            self._phase("teacher", learner, None, Objective()),
            self.images,
            self.split,
            self.workdir,
        )

    def train_student(self, objective: Objective, teacher: Teacher | None) -> PhaseResult:
        """Trains the student, with what the objective asks of the teacher."""
        network = self._network("student")
        projection = self._projection(objective, network, teacher)
        return run_phase(
            self._phase("student", Learner(network, projection), teacher, objective),
            self.images,
            self.split,
            self.workdir,
        )

    def _projection(
        self, objective: Objective, student: nnx.Module, teacher: Teacher | None
    ) -> Projection | None:
        """The 1×1 convolution from the student's channels to the teacher's (section III-C)."""
        if not objective.aligns_features or teacher is None:
            return None
        size = self.preprocessing.image_size
        channels = {}
        for role, network, layer in (
            ("student", student, objective.student_layer),
            (
                "teacher",
                nnx.merge(teacher.graphdef, teacher.variables, copy=True),
                objective.teacher_layer,
            ),
        ):
            shapes = feature_shapes(network, size)
            if layer not in shapes or len(shapes[layer]) != 3:
                maps = ", ".join(name for name, shape in shapes.items() if len(shape) == 3)
                raise UserError(
                    f"the {role} has no feature map {layer!r} (config.distillation.{role}_layer); "
                    f"it has {maps}"
                )
            channels[role] = shapes[layer][-1]
        return Projection(
            channels["student"],
            channels["teacher"],
            dtype=self.dtype,
            rngs=nnx.Rngs(params=derive_seed(self.config.seed, "projection")),
        )

    def _network(self, role: str) -> nnx.Module:
        """Draws a network from the seed and loads its pretrained weights, if any are named."""
        config = self.config[role]
        network = create_model(
            config.arch,
            num_classes=len(self.dataset.class_names),
            dtype=self.dtype,
            rngs=nnx.Rngs(params=derive_seed(self.config.seed, role, "parameters")),
            **self._overrides(role),
        )
        if config.pretrained not in ("", "none"):
            report = load_pretrained(network, config.arch, config.pretrained)
            LOGGER.info("%s: %s", role, report.summary())
        else:
            LOGGER.info("%s: %s drawn fresh", role, config.arch)
        return network

    def _overrides(self, role: str) -> dict[str, Any]:
        momentum = self.config[role].batch_norm_momentum
        return {} if momentum is None else {"batch_norm_momentum": momentum}

    def _phase(
        self, role: str, learner: Learner, teacher: Teacher | None, objective: Objective
    ) -> Phase:
        config = self.config
        num_epochs = config[role].num_epochs
        schedule = learning_rate_schedule(
            config.optimizer.schedule,
            learning_rate=config.optimizer.learning_rate,
            steps_per_epoch=steps_per_epoch(len(self.split.train), config.batch_size),
            num_epochs=num_epochs,
        )
        return Phase(
            name=role,
            learner=learner,
            teacher=teacher,
            objective=objective,
            optimizer=adamw(schedule, weight_decay=config.optimizer.weight_decay),
            schedule=schedule,
            num_epochs=num_epochs,
            patience=config.early_stopping.patience,
            batch_size=config.batch_size,
            eval_batch_size=config.eval_batch_size,
            preprocessing=self.preprocessing,
            augmentation=Augmentation(**config.augmentation.to_dict()),
            seed=config.seed,
            checkpoint_every_steps=config.checkpoint_every_steps,
            metadata=self._metadata(role),
        )

    def _metadata(self, role: str) -> dict[str, Any]:
        """The facts that travel with every checkpoint of this run."""
        config, dataset = self.config, self.dataset
        return {
            "arch": config[role].arch,
            "num_classes": len(dataset.class_names),
            "class_names": list(dataset.class_names),
            "overrides": self._overrides(role),
            "preprocessing": self.preprocessing.to_dict(),
            # As configured, known or not: the evaluation says where it counts no missed tumours.
            "negative_class": config.data.negative_class,
            "head": "trained",
            "source": {
                "config_name": config.name,
                "compute_dtype": self.dtype.name,
                "device": jax.devices()[0].device_kind,
            },
            "data": {
                "source": dataset.source,
                "name": dataset.name,
                "version": dataset.version,
                "fingerprint": dataset.fingerprint,
                "split": self.split.kind,
                "split_description": self.split.describe(),
                "audit": self.split.audit,
            },
            "config": json.loads(config.to_json()),
            "package_version": __version__,
        }
