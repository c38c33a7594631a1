"""The paper's experiment: a teacher is fine-tuned or given, then a student is distilled from it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from fakd_jax.data import appearance
from fakd_jax.data.appearance import Appearance
from fakd_jax.data.class_names import spelling
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.groups import fingerprint_of_groups
from fakd_jax.data.pipeline import CachedImages, steps_per_epoch
from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.data.sources import open_dataset
from fakd_jax.data.splits import Split
from fakd_jax.data.training_masks import TrainingMasks
from fakd_jax.distillation.projection import Projection
from fakd_jax.errors import UserError
from fakd_jax.experiment.class_weights import balanced_class_weights
from fakd_jax.experiment.layers import (
    channels_of_pairs,
    choose_layers,
    leave_out_momentum,
    require_lesion_layers,
)
from fakd_jax.experiment.masks import training_masks
from fakd_jax.experiment.new_split import given_groups, new_split
from fakd_jax.experiment.record import ABSENT, RunRecord
from fakd_jax.experiment.resume import PLACE_KEYS, resume_config, write_config
from fakd_jax.experiment.settings import ExperimentConfig
from fakd_jax.experiment.teacher_checks import learnt_images, teacher_checkpoint
from fakd_jax.experiment.teacher_loading import load_teacher
from fakd_jax.models import create_model
from fakd_jax.models.registry import described
from fakd_jax.models.torch_weights.pretrained import (
    RANDOM,
    load_pretrained,
    pretrained_settings,
)
from fakd_jax.runs.files import SPLIT_FILE
from fakd_jax.runs.learnt_images import METADATA_KEY, LearntImages
from fakd_jax.runtime.coordination import from_writer, require_same, writer_first
from fakd_jax.runtime.hashing import sha256_of_json
from fakd_jax.runtime.precision import compute_dtype
from fakd_jax.training.loop import run_phase
from fakd_jax.training.metric_log import LOGGER
from fakd_jax.training.optimizer import adamw, learning_rate_schedule
from fakd_jax.training.phase import Phase
from fakd_jax.training.seeds import derive_seed
from fakd_jax.training.state import Learner
from fakd_jax.training.step import Teacher
from fakd_jax.version import __version__


@dataclasses.dataclass(frozen=True)
class ExperimentResult:
    """The checkpoints of a run.

    Attributes:
      teacher: the teacher that was trained or given; None where none was needed.
      student: the best student; None where only a teacher was trained.
    """

    teacher: Path | None
    student: Path | None


@dataclasses.dataclass(frozen=True)
class ExperimentData:
    """Data that several runs may share, and with it the decoded images that fit in memory."""

    dataset: ImageDataset
    images: CachedImages


def open_experiment_data(config: ExperimentConfig) -> ExperimentData:
    """Opens the data of a run, see :func:`fakd_jax.data.sources.open_dataset`."""
    dataset = open_dataset(
        config.data.source,
        cache_dir=config.data.cache_dir,
        unreadable=config.data.unreadable,
        phantom=dataclasses.asdict(config.data.phantom),
        rules=config.data.pixels,
        class_map=config.data.class_map,
        log=LOGGER.info,
    )
    images = CachedImages(
        dataset, config.data.image_size, max_bytes=int(config.data.cache_gib * 2**30)
    )
    LOGGER.info("data: %s; config.data.cache_gib is %g", images, config.data.cache_gib)
    return ExperimentData(dataset, images)


def run_experiment(
    config: ExperimentConfig,
    workdir: Path,
    data: ExperimentData | None = None,
    place_keys: Collection[str] = PLACE_KEYS,
    inputs: Mapping[str, str] | None = None,
) -> ExperimentResult:
    """Trains the networks of a config, or resumes an earlier run of it.

    Args:
      config: of the run.
      workdir: of the run; `docs/reference/files.md` lists its files.
      data: of a config whose `data` group has the same images, if it is open already.
      place_keys: the keys that may differ when a run is resumed.
      inputs: digests that data and weights must have, see :class:`RunRecord`.

    Raises:
      UserError: config, data and weights do not fit together.
      KeyboardInterrupt: interrupted, after saving.
    """
    config = choose_layers(leave_out_momentum(config))
    resume = functools.partial(resume_config, config, workdir, place_keys)
    config = dataclasses.replace(config, dtype=from_writer(lambda: resume().dtype))
    data = data or writer_first(lambda: open_experiment_data(config))
    dataset = data.dataset
    _warn_of_unknown_negative_class(config.data.negative_class, dataset)
    from_writer(lambda: _begin(config, dataset, workdir, inputs))
    split = _kept_split(dataset, workdir)
    if split is None:
        raise UserError(
            f"process 0 wrote {workdir / SPLIT_FILE}, and this process does not find it; give a "
            "--workdir on a file system that all processes share"
        )
    identity = sha256_of_json([dataset.fingerprint, dataclasses.asdict(split)])
    require_same("data set or split", identity)
    record = RunRecord(workdir)
    learnt = learnt_images(config, dataset, split)
    channels = channels_of_pairs(config)
    require_lesion_layers(config)
    masks = training_masks(config, dataset, split, record)
    experiment = _Experiment(
        config, workdir, dataset, data.images, split, record, learnt, channels, masks
    )
    if config.train == "teacher":
        return ExperimentResult(experiment.train_teacher(), None)
    checkpoint, teacher = experiment.teacher() if config.needs_teacher else (None, None)
    return ExperimentResult(checkpoint, experiment.train_student(teacher))


def _begin(
    config: ExperimentConfig,
    dataset: ImageDataset,
    workdir: Path,
    inputs: Mapping[str, str] | None,
) -> None:
    """Writes what belongs to a run and not to a phase: config, environment and split."""
    given = given_groups(config, dataset)
    split = _kept_split(dataset, workdir)
    record = RunRecord(workdir, inputs)
    record.hold("data.source", dataset.fingerprint)
    record.hold("data.groups", fingerprint_of_groups(given) if given else ABSENT)
    write_config(config.to_dict(), workdir)  # after the data is known to be the same
    record.begin({"dtype": config.dtype, "data": dataset.source})
    _log_data(dataset, split or new_split(config, dataset, workdir, given))


def _warn_of_unknown_negative_class(negative_class: str, dataset: ImageDataset) -> None:
    if negative_class and negative_class not in dataset.class_names:
        alike = [name for name in dataset.class_names if spelling(name) == spelling(negative_class)]
        LOGGER.warning(
            "config.data.negative_class=%s is none of the classes (%s): missed tumours will not be "
            'counted; name the class without a tumour%s, or "" if there is none',
            negative_class,
            ", ".join(dataset.class_names),
            f" ({alike[0]}?)" if alike else "",
        )


def _kept_split(dataset: ImageDataset, workdir: Path) -> Split | None:
    """The split of a resumed run; None for a new run."""
    file = workdir / SPLIT_FILE
    return Split.load(file, dataset) if file.is_file() else None


def _log_data(dataset: ImageDataset, split: Split) -> None:
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
    if split.labelled is not None:
        LOGGER.info(
            "data: %s; the epoch is chosen by all %d validation images with their labels",
            split.describe_labels(),
            len(split.val),
        )


@dataclasses.dataclass(frozen=True)
class _Experiment:
    """The two phases of a run and what they share."""

    config: ExperimentConfig
    workdir: Path
    dataset: ImageDataset
    images: CachedImages
    split: Split
    record: RunRecord
    learnt: Mapping[str, LearntImages]
    channels: Sequence[tuple[int, int]]
    masks: TrainingMasks | None

    @property
    def dtype(self) -> np.dtype:
        """The networks' compute type."""
        return compute_dtype(self.config.dtype)

    @property
    def preprocessing(self) -> Preprocessing:
        """The config's, with the rules by which the data's files became pictures."""
        return dataclasses.replace(self.config.data.preprocessing, pixels=self.dataset.pixels)

    @functools.cached_property
    def appearance(self) -> dict[str, float]:
        """How bright and how flat the training images are."""
        size = self.config.data.image_size
        return Appearance.of(self.images, self.split.train, size).to_dict()

    def teacher(self) -> tuple[Path | None, Teacher]:
        """Returns the frozen teacher: given, fine-tuned now or, if allowed, untrained."""
        config = self.config.teacher
        if not config.checkpoint:
            self.record.pin("teacher.checkpoint", ABSENT)
        if config.checkpoint:
            checkpoint = teacher_checkpoint(config.checkpoint)
        elif config.num_epochs > 0:
            checkpoint = self.train_teacher()
        elif config.allow_untrained:
            LOGGER.info("teacher: its head is untrained, as config.teacher.allow_untrained allows")
            return None, Teacher.freeze(self._network("teacher"))
        else:
            raise UserError(
                "config.teacher.num_epochs=0 leaves the teacher's head untrained; give "
                "config.teacher.checkpoint, or allow it with config.teacher.allow_untrained=True"
            )
        return checkpoint, self._load_teacher(checkpoint)

    def _load_teacher(self, checkpoint: Path) -> Teacher:
        config = self.config
        teacher, digest = load_teacher(
            checkpoint,
            self.dataset.class_names,
            self.preprocessing,
            dtype=self.dtype,
            allow_untrained=config.teacher.allow_untrained,
        )
        if config.teacher.checkpoint:
            self.record.pin("teacher.checkpoint", digest)
        return teacher

    def train_teacher(self) -> Path:
        """Fine-tunes the teacher with cross-entropy alone; returns its best checkpoint."""
        return self._train("teacher", Learner(self._network("teacher")), None)

    def train_student(self, teacher: Teacher | None) -> Path:
        """Trains the student, distilled from a teacher if there is one; returns its checkpoint."""
        network = self._network("student")
        learner = Learner(network, *self._projections(teacher))
        return self._train("student", learner, teacher)

    def _network(self, role: str) -> nnx.Module:
        """Initialises a network from the seed and loads its pretrained weights, if any."""
        config = self.config.network(role)
        network = create_model(
            config.arch,
            num_classes=len(self.dataset.class_names),
            dtype=self.dtype,
            rngs=nnx.Rngs(params=derive_seed(self.config.seed, role, "parameters")),
            **self._overrides(role),
        )
        key = f"{role}.pretrained"
        if config.pretrained in RANDOM:
            self.record.pin(key, ABSENT)
            LOGGER.info("%s: %s initialised at random", role, config.arch)
        else:
            load = functools.partial(load_pretrained, network, config.arch, config.pretrained)
            report = writer_first(load)
            self.record.pin(key, str(report.sha256))
            LOGGER.info("%s: %s", role, report.summary())
        return network

    def _overrides(self, role: str) -> dict[str, Any]:
        """Keywords of a network's constructor: those of its config, and what its weights need."""
        config = self.config.network(role)
        return pretrained_settings(config.arch, config.pretrained) | config.overrides

    def _projections(self, teacher: Teacher | None) -> list[Projection]:
        """1×1 convolutions from the student's channels to the teacher's (section III-C)."""
        if teacher is None or not self.config.objective("student").aligns_features:
            return []
        rngs = nnx.Rngs(params=derive_seed(self.config.seed, "projection"))
        return [
            Projection(students, teachers, dtype=self.dtype, rngs=rngs)
            for teachers, students in self.channels
        ]

    def _train(self, role: str, learner: Learner, teacher: Teacher | None) -> Path:
        config, settings = self.config, self.config.optimizer_of(role)
        schedule = learning_rate_schedule(
            settings.schedule,
            learning_rate=settings.learning_rate,
            steps_per_epoch=steps_per_epoch(len(self.split.train), config.batch_size),
            num_epochs=config.network(role).num_epochs,
            warmup_epochs=settings.warmup_epochs,
        )
        phase = Phase(
            name=role,
            learner=learner,
            teacher=teacher,
            objective=config.objective(role, self._class_weights()),
            optimizer=adamw(
                schedule,
                weight_decay=settings.weight_decay,
                max_gradient_norm=settings.max_gradient_norm,
            ),
            ema_decay=settings.ema_decay,
            schedule=schedule,
            num_epochs=config.network(role).num_epochs,
            patience=config.early_stopping.patience,
            monitor=config.early_stopping.monitor,
            batch_size=config.batch_size,
            eval_batch_size=config.eval_batch_size,
            preprocessing=self.preprocessing,
            augmentation=config.augmentation,
            recalibrate_batch_norm=config.network(role).recalibrate_batch_norm,
            masks=self.masks if config.needs_masks(role) else None,
            seed=config.seed,
            checkpoint_minutes=config.checkpoint_minutes,
            deterministic=config.deterministic,
            metadata=self._metadata(role),
        )
        if not (self.workdir / SPLIT_FILE).is_file():
            raise UserError(
                f"{self.workdir} was moved or removed while this run was using it; put it back and "
                "run the same command again"
            )
        return run_phase(phase, self.images, self.split, self.workdir)

    def _class_weights(self) -> tuple[float, ...]:
        """The weights of the classes in cross-entropy; none if they are equal."""
        if self.config.cross_entropy.class_weights == "none":
            return ()
        indices = map(self.dataset.index_of, self.split.train_labelled)
        labels = [self.dataset.examples[index].label for index in indices]
        return balanced_class_weights(labels, self.dataset.class_names)

    def _metadata(self, role: str) -> dict[str, Any]:
        """Describes where a checkpoint of this run comes from; it is saved with the weights."""
        config, dataset = self.config, self.dataset
        network = config.network(role)
        return {
            **described(network.arch),
            "num_classes": len(dataset.class_names),
            "class_names": list(dataset.class_names),
            "overrides": self._overrides(role),
            "preprocessing": self.preprocessing.to_dict(),
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
            METADATA_KEY: self.learnt[role].to_metadata(),
            appearance.METADATA_KEY: self.appearance,
            "config": config.to_dict(),
            "package_version": __version__,
        }
