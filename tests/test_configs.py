"""Every experiment in configs/ exists in every variant and is what its name says."""

import importlib
from pathlib import Path

import pytest

from fakd_jax.experiment.settings import parse

FOLDER = Path(__file__).resolve().parent.parent / "configs"
STUDY = "study"
NAMES = sorted(file.stem for file in FOLDER.glob("*.py") if file.stem not in ("__init__", STUDY))
WEIGHTS = {  # (alpha, beta): loss = (1 - alpha) CE + alpha KD + beta FA
    "fakd": (0.5, 1.0),
    "feature": (0.0, 1.0),
    "kd": (0.5, 0.0),
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
    assert set(config.study.methods) == set(config.changes) == {*NAMES} - {"robust"}
    assert config.study.baseline in NAMES


@pytest.mark.parametrize("name", [*NAMES, STUDY])
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
