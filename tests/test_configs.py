"""Every experiment in configs/ exists in every variant and is what its name says."""

import importlib
from pathlib import Path

import pytest

from fakd_jax.experiment.settings import parse
from fakd_jax.study.cells import open_study

FOLDER = Path(__file__).resolve().parent.parent / "configs"
STUDY, ROBUST_STUDY = STUDIES = ("study", "robust_study")
NAMES = sorted({file.stem for file in FOLDER.glob("*.py")} - {"__init__", *STUDIES})
WEIGHTS = {  # (alpha, beta): loss = (1 - alpha) CE + alpha KD + beta FA
    "fakd": (0.5, 1.0),
    "feature": (0.0, 1.0),
    "kd": (0.5, 0.0),
    "lesions": (0.5, 1.0),
    "robust": (0.5, 1.0),
    "student": (0.0, 0.0),
    "teacher": (0.5, 1.0),
}


def get_config(name, variant):
    return importlib.import_module(f"fakd_jax.configs.{name}").get_config(variant)


def test_no_experiment_is_untested():
    assert set(WEIGHTS) == set(NAMES)


@pytest.mark.parametrize("variant", ["", "phantom"])
@pytest.mark.parametrize("name", NAMES)
def test_config_is_valid_and_named_after_its_file(name, variant):
    config = parse(get_config(name, variant))
    assert config.name == name
    assert (config.distillation.alpha, config.distillation.beta) == WEIGHTS[name]
    assert config.train == ("teacher" if name == "teacher" else "student")


@pytest.mark.parametrize("variant", ["", "phantom"])
def test_the_study_runs_every_experiment(variant):
    config = get_config(STUDY, variant)
    assert config.name == STUDY
    assert set(config.study.methods) == set(config.changes) == {*NAMES} - {"lesions", "robust"}
    assert config.study.baseline in NAMES


@pytest.mark.parametrize("variant", ["", "phantom"])
def test_the_robust_study_has_every_method_plain_and_with_the_changes_of_robust(variant):
    study = open_study(get_config(ROBUST_STUDY, variant), Path("/study"))
    plain = ("teacher", "student", "kd", "fakd")
    assert study.methods == (*plain, *(f"robust_{method}" for method in plain))
    made = {cell.method: settings for cell, settings in study.settings.items()}
    robust = parse(get_config("robust", variant))
    for method in plain:
        one, other = made[method], made[f"robust_{method}"]
        assert one.data.intensity == "none"
        assert one.augmentation.shifts == ()
        assert other.augmentation == robust.augmentation
        assert other.data.intensity == robust.data.intensity
        assert other.network(other.train).recalibrate_batch_norm == 30
        assert other.optimizer_of(other.train) == one.optimizer_of(one.train)
        assert (other.train, other.objective("student")) == (one.train, one.objective("student"))
        assert other.network(other.train).num_epochs == one.network(one.train).num_epochs
    assert study.teachers == {
        "kd": "teacher",
        "fakd": "teacher",
        "robust_kd": "robust_teacher",
        "robust_fakd": "robust_teacher",
    }
    assert {("robust_fakd", "fakd"), ("robust_fakd", "robust_student")} < {*study.pairs}
    assert study.stress is not None


@pytest.mark.parametrize("name", [*NAMES, *STUDIES])
def test_unknown_variant_is_refused(name):
    with pytest.raises(ValueError, match="phantom"):
        get_config(name, "nonsense")


def test_the_paper():
    """Section IV-A and IV-B of the paper."""
    config = get_config("fakd", "")
    assert (config.optimizer.learning_rate, config.optimizer.weight_decay) == (1e-4, 1e-5)
    assert (config.batch_size, config.student.num_epochs, config.data.image_size) == (32, 15, 224)
    assert (config.distillation.temperature, config.early_stopping.patience) == (3.0, 5)
    assert (config.teacher.arch, config.student.arch) == ("resnet50", "mobilenet_v3_large")
