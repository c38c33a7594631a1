"""One run: who may use a workdir, and what is evaluated on what."""

import dataclasses
import fcntl

import pytest

from fakd_jax.configs import fakd
from fakd_jax.errors import UserError
from fakd_jax.experiment import run
from fakd_jax.experiment.settings import parse
from fakd_jax.experiment.teacher_and_student import ExperimentResult


@pytest.fixture
def config():
    config = fakd.get_config("phantom")
    config.data.cache_dir = "prepared"
    config.teacher.checkpoint = "given"
    config.teacher.allow_untrained = True
    return parse(config)


class Evaluations:
    """Replaces training and evaluation; records what was to be evaluated, and how."""

    def __init__(self, workdir):
        self.result = ExperimentResult(workdir / "given", workdir / "own")
        self.refused = ()
        self.made = []

    def evaluate(self, checkpoint, **options):
        self.made.append((checkpoint.name, options))
        if checkpoint.name in self.refused:
            raise UserError(f"{checkpoint.name} cannot be evaluated")


@pytest.fixture
def evaluations(tmp_path, monkeypatch):
    made = Evaluations(tmp_path)
    monkeypatch.setattr(run, "run_experiment", lambda *args: made.result)
    for name in ("plot_curves", "save_figure"):
        monkeypatch.setattr(run, name, lambda *args: None)
    monkeypatch.setattr(run, "evaluate_checkpoint", made.evaluate)
    return made


def test_both_networks_are_evaluated_on_the_data_of_the_run(config, tmp_path, evaluations):
    run.train_and_evaluate(config, tmp_path)
    (teacher, of_teacher), (student, of_student) = evaluations.made
    assert (teacher, student) == ("given", "own")
    for options in (of_student, of_teacher):
        assert (options["source"], options["cache_dir"]) == ("phantom", "prepared")
    assert of_teacher["allow_untrained"]
    assert not of_student["allow_untrained"]


def test_a_given_teacher_that_cannot_be_evaluated_is_no_error(config, tmp_path, evaluations):
    evaluations.refused = ("given",)
    run.train_and_evaluate(config, tmp_path)
    assert evaluations.made[-1][0] == "own"


@pytest.mark.parametrize("train", ["student", "teacher"])
def test_its_own_networks_must_be_evaluated(config, tmp_path, evaluations, train):
    if train == "teacher":  # it trains its own whatever was given
        evaluations.result = ExperimentResult(tmp_path / "own", None)
    evaluations.refused = ("own",)
    with pytest.raises(UserError, match="own cannot be evaluated"):
        run.train_and_evaluate(dataclasses.replace(config, train=train), tmp_path)


def test_a_workdir_in_use_is_refused_until_it_is_free(config, tmp_path, evaluations):
    with (tmp_path / run.LOCK_FILE).open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"another process is using .*--workdir"):
            run.train_and_evaluate(config, tmp_path)
    assert evaluations.made == []
    run.train_and_evaluate(config, tmp_path)
    assert len(evaluations.made) == 2


def test_a_run_locks_its_workdir_to_its_end(config, tmp_path, evaluations, monkeypatch):
    def second(*args, **options):
        with pytest.raises(UserError, match="another process is using"):
            run.train_and_evaluate(config, tmp_path)
        evaluations.made.append("refused")
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "evaluate_checkpoint", second)
    with pytest.raises(KeyboardInterrupt):
        run.train_and_evaluate(config, tmp_path)
    assert evaluations.made == ["refused"]
