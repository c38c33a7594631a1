"""The grid of a study, the settings of each cell, and what is refused up front."""

import importlib
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from fakd_jax.configs.study import get_config
from fakd_jax.errors import UserError
from fakd_jax.experiment.settings import parse
from fakd_jax.shifts.families import FAMILIES
from fakd_jax.study.cells import Cell, cell_settings, open_study
from fakd_jax.study.stress import StressPlan

WORKDIR = Path("/study")
METHODS = ("teacher", "student", "kd", "feature", "fakd")


def study(**keys):
    config = get_config("phantom")
    config.study.update({"seeds": (0, 1)} | keys)
    return config


def opened(**keys):
    return open_study(study(**keys), WORKDIR)


def test_cells_are_ordered_by_split_and_seed_teachers_first():
    cells = opened(methods=("fakd", "student", "teacher"), seeds=(3, 1)).cells
    assert [(cell.seed, cell.method) for cell in cells] == [
        (seed, method) for seed in (3, 1) for method in ("teacher", "fakd", "student")
    ]


def test_a_cell_has_its_own_folder_and_name():
    cell = Cell("official", 2, "kd")
    assert cell.folder == Path("official/seed2/kd")
    assert str(cell) == "official, seed 2, kd"
    assert Cell("kfold", 2, "kd", 0).folder == Path("kfold/seed2/fold0/kd")


@pytest.mark.parametrize("method", METHODS)
def test_a_cell_has_the_settings_of_its_methods_own_config(method):
    made = cell_settings(get_config(), Cell("official", 4, method), WORKDIR)
    alone = importlib.import_module(f"fakd_jax.configs.{method}").get_config()
    alone.seed = 4
    alone.teacher.checkpoint = made.teacher.checkpoint
    assert made == parse(alone)


def test_students_share_the_teacher_of_their_seed_and_the_base_where_a_method_changes_nothing():
    config = study()
    config.base.distillation.alpha = 0.7
    settings = open_study(config, WORKDIR).settings
    made = {method: settings[Cell("official", 1, method)] for method in METHODS}
    teacher = "/study/official/seed1/teacher"
    checkpoints = {"teacher": "", "student": "", "kd": teacher, "feature": teacher, "fakd": teacher}
    assert {method: one.teacher.checkpoint for method, one in made.items()} == checkpoints
    weights = {"teacher": 0.7, "student": 0.0, "kd": 0.7, "feature": 0.0, "fakd": 0.7}
    assert {method: one.distillation.alpha for method, one in made.items()} == weights


def test_losses_by_their_terms():
    losses = [opened().loss(method) for method in METHODS]
    assert losses == ["CE", "CE", "0.5 CE + 0.5 KD", "CE + FA", "0.5 CE + 0.5 KD + FA"]


def test_a_method_of_other_terms_takes_two_lines():
    config = study(methods=("teacher", "dkd"))
    terms = {"tckd": 1.0, "nckd": 8.0}
    config.changes.dkd = {"distillation": {"alpha": 0.0, "beta": 0.0, "terms": terms}}
    assert open_study(config, WORKDIR).loss("dkd") == "CE + TCKD + 8 NCKD"


def test_a_k_fold_split_has_a_cell_per_fold():
    config = study(splits=("kfold",), seeds=(0,), methods=("teacher", "kd"))
    with config.unlocked():
        config.base.data.folds = 3
        config.base.data.fold = 0
    made = open_study(config, WORKDIR)
    cells = made.cells
    assert [(cell.fold, cell.method) for cell in cells] == [
        (fold, method) for fold in range(3) for method in ("teacher", "kd")
    ]
    last = made.settings[cells[5]]
    assert (last.data.split, last.data.fold) == ("kfold", 2)
    assert last.teacher.checkpoint == "/study/kfold/seed0/fold2/teacher"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"methods": ()}, "methods is empty"),
        ({"methods": ("student", "student")}, "repeats a value"),
        ({"methods": ("student", "fakd")}, "fakd learns from a teacher.* teacher, to"),
        ({"seeds": ()}, "seeds is empty"),
        ({"seeds": (1, 1)}, "repeats a value"),
        ({"seeds": (-1,)}, "non-negative integers"),
        ({"seeds": ([1],)}, "non-negative integers"),
        ({"methods": ([1], "student")}, r"methods has \[1\]; give names"),
        ({"splits": (5,)}, "splits has 5; give names"),
        ({"splits": ("offical",)}, "'offical'; known: official"),
        ({"baseline": "ce"}, "baseline has 'ce'; known: .*student"),
        ({"comparisons": ("kd",)}, "comparisons has 'kd'; give METHOD:REFERENCE"),
        ({"comparisons": ("kd:kd",)}, "comparisons has 'kd:kd'"),
        ({"comparisons": ("kd:ce",)}, "comparisons has 'ce'; known: .*student"),
        ({"comparisons": ("kd:fakd", "kd:fakd")}, "comparisons=.* repeats"),
        ({"teachers": {"ce": "teacher"}}, "teachers has 'ce'; known: "),
        ({"teachers": {"kd": "fakd"}}, r"teachers\.kd has 'fakd'; known: teacher$"),
        ({"teachers": {"student": "teacher"}}, r"teachers\.student has no effect"),
        ({"stress": {"severities": (0,)}}, r"stress\.severities=\(0,\) must"),
        ({"stress": {"severities": ("a",)}}, r"stress\.severities=\('a',\) must"),
        ({"stress": {"severities": (1, 1)}}, r"stress\.severities=.* repeats"),
        ({"stress": {"severities": (1,), "families": ("fog",)}}, r"stress\.families: .*fog"),
        (
            {"stress": {"severities": (1,), "families": (1, 2)}},
            r"stress\.families has 1; give names",
        ),
        ({"stress": {"families": ("blur",)}}, r"stress\.families has no effect"),
    ],
)
def test_invalid_grids_are_refused(keys, message):
    with pytest.raises(UserError, match=message):
        opened(**keys)


@pytest.mark.parametrize("changes", [{"student": {"num_epochs": 5.5}}, {"data": 5}, {"teacher": 5}])
def test_a_method_whose_changes_do_not_fit_is_refused(changes):
    config = study()
    config.changes.mine = ConfigDict(changes)
    with pytest.raises(UserError, match=r"^config\.changes\.mine does not fit config\.base "):
        open_study(config, WORKDIR)


@pytest.mark.parametrize("folds", [-1, 0, 1])
def test_too_few_folds_are_refused(folds):
    config = study(splits=("kfold",))
    config.base.data.folds = folds
    with pytest.raises(UserError, match=rf"^config\.base\.data\.folds={folds} must be at least 2"):
        open_study(config, WORKDIR)


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({"seed": 3}, "seed"),
        ({"data": {"image_size": 64, "split": "grouped"}}, r"data\.image_size, data\.split"),
        ({"teacher": {"checkpoint": "elsewhere", "num_epochs": 1}}, r"teacher\.checkpoint"),
    ],
)
def test_a_method_may_not_change_what_all_must_share(change, keys):
    config = study()
    config.changes.kd = ConfigDict(config.changes.kd.to_dict() | change)
    with pytest.raises(UserError, match=rf"^config\.changes\.kd sets {keys}, which all"):
        open_study(config, WORKDIR)


def two_teachers(**keys):
    """A study in which some methods standardise intensity."""
    config = study(
        **{"methods": ("teacher", "kd", "even_kd", "even_teacher"), "seeds": (1,)} | keys
    )
    even = {"data": {"intensity": "head_percentiles"}}
    config.changes.even_teacher = ConfigDict({"train": "teacher"} | even)
    config.changes.even_kd = ConfigDict(config.changes.kd.to_dict() | even)
    return config


def test_a_student_has_the_labels_of_its_teacher():
    config = two_teachers(methods=("teacher", "kd"))
    config.changes.kd.data = ConfigDict({"labelled_share": 0.25})
    with pytest.raises(UserError, match=r"labelled_share.*teachers\.kd"):
        open_study(config, WORKDIR)
    config.changes.teacher.data = ConfigDict({"labelled_share": 0.25})
    made = open_study(config, WORKDIR)
    assert {settings.data.labelled_share for settings in made.settings.values()} == {0.25}


def test_students_learn_from_the_teacher_that_they_are_given():
    teachers = {"kd": "teacher", "even_kd": "even_teacher"}
    made = open_study(two_teachers(teachers=teachers), WORKDIR)
    assert made.teachers == teachers
    order = [cell.method for cell in made.cells]
    assert order == ["teacher", "even_teacher", "kd", "even_kd"]
    student = Cell("official", 1, "even_kd")
    assert made.teacher_of(student) == Cell("official", 1, "even_teacher")
    assert made.teacher_of(Cell("official", 1, "even_teacher")) is None
    settings = made.settings[student]
    assert settings.teacher.checkpoint == "/study/official/seed1/even_teacher"
    assert settings.data.intensity == "head_percentiles"
    assert made.settings[Cell("official", 1, "kd")].data.intensity == "none"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"teachers": {"even_kd": "even_teacher"}}, r"even_teacher, teacher .*teachers\.kd"),
        ({"teachers": {"kd": "teacher", "even_kd": "teacher"}}, r"intensity.*teachers\.even_kd"),
        ({"methods": ("teacher", "even_kd")}, r"intensity.*teachers\.even_kd"),
        (
            {"methods": ("teacher", "even_kd"), "teachers": {"even_kd": "even_teacher"}},
            r"even_kd learns .* even_teacher, to config\.study\.methods",
        ),
    ],
)
def test_a_student_without_a_fitting_teacher_is_refused(keys, message):
    with pytest.raises(UserError, match=message):
        open_study(two_teachers(**keys), WORKDIR)


def test_the_only_teacher_that_runs_needs_no_entry():
    made = open_study(two_teachers(methods=("even_teacher", "even_kd")), WORKDIR)
    assert made.teachers == {"even_kd": "even_teacher"}


def test_a_stress_test_has_its_severities_and_families_in_order():
    made = opened(stress={"severities": (3, 1), "families": ("rotation", "gamma")})
    assert made.stress == StressPlan((1, 3), ("gamma", "rotation"))
    assert opened(stress={"severities": (5,)}).stress == StressPlan((5,), tuple(FAMILIES))
    assert opened().stress is None


def test_configs_of_earlier_versions_are_read():
    config = study()
    del config.study.comparisons, config.study.teachers, config.study.stress
    made = open_study(config, WORKDIR)
    assert (made.comparisons, made.stress, made.teachers) == ((), None, opened().teachers)


@pytest.mark.parametrize("variant", ["", "phantom"])
def test_the_packaged_studies_are_valid(variant):
    open_study(get_config(variant), WORKDIR)
