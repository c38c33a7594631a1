"""The grid of a study, the config of each cell, and what is refused before anything is done."""

import importlib
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from fakd_jax.configs.study import get_config
from fakd_jax.errors import UserError
from fakd_jax.experiment.settings import parse
from fakd_jax.study.cells import Cell, cell_config, cells_of, check_study, loss_terms

WORKDIR = Path("/study")
METHODS = ("teacher", "student", "kd", "feature", "fakd")


def study(**keys):
    config = get_config("phantom")
    config.study.update({"seeds": (0, 1)} | keys)
    return config


def test_cells_come_split_by_split_seed_by_seed_teacher_first():
    config = study(methods=("fakd", "student", "teacher"), seeds=(3, 1))
    assert [(cell.seed, cell.method) for cell in cells_of(config)] == [
        (seed, method) for seed in (3, 1) for method in ("teacher", "fakd", "student")
    ]


def test_names_of_a_command_line_are_parted_at_commas():
    """The flag's parser gives a,b as one text."""
    assert cells_of(study(methods=("teacher, student",))) == cells_of(
        study(methods=("teacher", "student"))
    )


def test_a_cell_has_its_own_folder_and_name():
    cell = Cell("official", 2, "kd")
    assert cell.folder == Path("official/seed2/kd")
    assert str(cell) == "official, seed 2, kd"
    assert Cell("kfold", 2, "kd", 0).folder == Path("kfold/seed2/fold0/kd")


@pytest.mark.parametrize("method", METHODS)
def test_a_cells_config_is_that_of_the_methods_own_file(method):
    made = cell_config(get_config(), Cell("official", 4, method), WORKDIR)
    alone = importlib.import_module(f"fakd_jax.configs.{method}").get_config()
    alone.seed = 4
    alone.teacher.checkpoint = made.teacher.checkpoint
    assert made == parse(alone)


def test_what_learns_from_a_teacher_takes_the_one_of_its_split_and_seed():
    config = study()
    for method in METHODS:
        made = cell_config(config, Cell("official", 1, method), WORKDIR)
        needs_it = method in ("kd", "feature", "fakd")
        expected = "/study/official/seed1/teacher" if needs_it else ""
        assert made.teacher.checkpoint == expected, method


def test_a_key_of_the_base_reaches_every_cell_but_what_a_method_changes():
    config = study()
    config.base.distillation.alpha = 0.7
    weights = {
        method: cell_config(config, Cell("official", 0, method), WORKDIR).distillation.alpha
        for method in METHODS
    }
    assert weights == {"teacher": 0.7, "student": 0.0, "kd": 0.7, "feature": 0.0, "fakd": 0.7}


def test_losses_are_told_by_their_terms():
    told = [
        loss_terms(cell_config(study(), Cell("official", 0, method), WORKDIR)) for method in METHODS
    ]
    assert told == ["CE", "CE", "0.5 CE + 0.5 KD", "CE + FA", "0.5 CE + 0.5 KD + FA"]


def test_a_k_fold_split_has_a_cell_a_fold():
    config = study(splits=("kfold",), seeds=(0,), methods=("teacher", "kd"))
    with config.unlocked():
        config.base.data.folds = 3
        config.base.data.fold = 0
    cells = cells_of(config)
    assert [(cell.fold, cell.method) for cell in cells] == [
        (fold, method) for fold in range(3) for method in ("teacher", "kd")
    ]
    made = cell_config(config, cells[5], WORKDIR)
    assert (made.data.split, made.data.fold) == ("kfold", 2)
    assert made.teacher.checkpoint == "/study/kfold/seed0/fold2/teacher"


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"methods": ()}, "methods is empty"),
        ({"methods": ("teacher", "fakt")}, "'fakt'; known: .*fakd"),
        ({"methods": ("student", "student")}, "names one twice"),
        ({"methods": ("student", "fakd")}, "fakd learns from a teacher.* teacher, in"),
        ({"seeds": ()}, "seeds is empty"),
        ({"seeds": (1, 1)}, "names one twice"),
        ({"seeds": (-1,)}, "whole numbers"),
        ({"seeds": ("a",)}, "whole numbers"),
        ({"splits": ()}, "splits is empty"),
        ({"splits": ("offical",)}, "'offical'; known: official"),
        ({"baseline": "ce"}, "baseline has 'ce'; known: .*student"),
    ],
)
def test_what_a_study_may_not_say(keys, told):
    with pytest.raises(UserError, match=told):
        check_study(study(**keys))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seed": 3}, "seed"),
        ({"data": {"image_size": 64, "split": "grouped"}}, r"data\.image_size, data\.split"),
        ({"teacher": {"checkpoint": "elsewhere", "num_epochs": 1}}, r"teacher\.checkpoint"),
    ],
)
def test_a_method_may_not_change_what_makes_a_cell(change, told):
    config = study()
    config.changes.kd = ConfigDict(config.changes.kd.to_dict() | change)
    with pytest.raises(UserError, match=rf"^config\.changes\.kd sets {told}, by which"):
        check_study(config)


def test_values_out_of_range_are_named_with_the_base():
    config = study()
    config.base.student.num_epochs = 0
    with pytest.raises(UserError, match=r"config\.base\.student\.num_epochs=0 must"):
        check_study(config)


def test_the_config_of_a_run_is_no_studys():
    with pytest.raises(UserError, match=r"configs/study\.py"):
        check_study(ConfigDict({"name": "fakd"}))


@pytest.mark.parametrize("variant", ["", "phantom"])
def test_the_studies_as_they_are_may_be_run(variant):
    check_study(get_config(variant))
