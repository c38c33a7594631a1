"""One trial: who may be at work in a workdir, and what is evaluated on what."""

import fcntl

import pytest

from fakd_jax.configs import fakd
from fakd_jax.errors import UserError
from fakd_jax.experiment import run as trial
from fakd_jax.experiment.teacher_and_student import ExperimentResult


@pytest.fixture
def config():
    config = fakd.get_config("phantom")
    config.teacher.checkpoint = "given"
    config.teacher.allow_untrained = True
    return config


class Evaluations:
    """Stands in for training and evaluation; remembers what was to be evaluated, and how."""

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
    monkeypatch.setattr(trial, "run_experiment", lambda *args: made.result)
    monkeypatch.setattr(trial, "plot_curves", lambda *args: None)
    monkeypatch.setattr(trial, "evaluate_checkpoint", made.evaluate)
    return made


def test_both_networks_see_the_data_of_the_run(config, tmp_path, evaluations):
    config.data.cache_dir = "prepared"
    trial.train_and_evaluate(config, tmp_path)
    (teacher, of_teacher), (student, of_student) = evaluations.made
    assert (teacher, student) == ("given", "own")
    for options in (of_student, of_teacher):
        assert (options["source"], options["cache_dir"]) == ("phantom", "prepared")
    assert of_teacher["allow_untrained"]
    assert not of_student["allow_untrained"]


def test_a_given_teacher_that_cannot_be_evaluated_is_told_and_no_error(
    config, tmp_path, evaluations, caplog
):
    evaluations.refused = ("given",)
    with caplog.at_level("INFO", "fakd_jax"):
        trial.train_and_evaluate(config, tmp_path)
    assert "no report of the given teacher: given cannot be evaluated" in caplog.messages
    assert evaluations.made[-1][0] == "own"


@pytest.mark.parametrize("train", ["student", "teacher"])
def test_its_own_networks_must_be_evaluated(config, tmp_path, evaluations, train):
    config.train = train
    if train == "teacher":  # it trains its own whatever was given
        evaluations.result = ExperimentResult(tmp_path / "own", None)
    evaluations.refused = ("own",)
    with pytest.raises(UserError, match="own cannot be evaluated"):
        trial.train_and_evaluate(config, tmp_path)


def test_a_workdir_in_use_is_refused_until_it_is_free(config, tmp_path, evaluations):
    with (tmp_path / trial.LOCK_FILE).open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"another process is at work in .*--workdir"):
            trial.train_and_evaluate(config, tmp_path)
    assert evaluations.made == []
    trial.train_and_evaluate(config, tmp_path)
    assert len(evaluations.made) == 2


def test_a_trial_holds_its_workdir_to_its_end(config, tmp_path, evaluations, monkeypatch):
    def second(*args, **options):
        with pytest.raises(UserError, match="another process is at work"):
            trial.train_and_evaluate(config, tmp_path)
        evaluations.made.append("refused")
        raise KeyboardInterrupt

    monkeypatch.setattr(trial, "evaluate_checkpoint", second)
    with pytest.raises(KeyboardInterrupt):
        trial.train_and_evaluate(config, tmp_path)
    assert evaluations.made == ["refused"]
