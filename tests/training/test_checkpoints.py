"""Checkpoints on disk: which ones stay, and what is said where they cannot be written."""

import jax.numpy as jnp
import optax
import pytest
from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.training import checkpoints as module
from fakd_jax.training.checkpoints import PhaseCheckpoints
from fakd_jax.training.state import Learner, initial_state

# What Orbax raises on a full disk and at a limit on the size of files, in its own words.
FULL = 'RESOURCE_EXHAUSTED: Error writing "a/0": Failed to write: No space left on device'
LARGE = "OUT_OF_RANGE: Error writing \"a/0\": File too large [os_error_code='27']"


@pytest.fixture
def learner():
    return Learner(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))


@pytest.fixture
def saved(tmp_path, learner):
    """Best checkpoints of the steps 4, 8 and 12, as kills may have left them."""
    checkpoints = PhaseCheckpoints(tmp_path / "student")
    for step in (4, 8, 12):
        save_best(checkpoints, learner, step)
    return checkpoints


def save_best(checkpoints, learner, step):
    state = initial_state(learner, optax.adam(1e-3))._replace(step=jnp.int32(step))
    checkpoints.save_best(learner, state, {"arch": "linear", "num_classes": 3})


def save_last(checkpoints, learner):
    state = initial_state(learner, optax.adam(1e-3))
    checkpoints.save_last(learner, state, {"arch": "linear", "num_classes": 3}, {})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_best_leaves_the_one_before_until_it_is_told_which_stays(saved):
    assert names(saved.best_directory) == ["12", "4", "8"]
    assert saved.best(8) == saved.best_directory / "8"
    saved.keep_best(8)
    assert names(saved.best_directory) == ["8"]


def test_no_best_is_removed_for_one_that_is_not_there(saved):
    saved.keep_best(5)
    assert names(saved.best_directory) == ["12", "4", "8"]
    with pytest.raises(UserError, match=r"best/5 is missing; delete .*student"):
        saved.best(5)


def test_another_process_may_remove_the_same_checkpoint_first(saved, monkeypatch):
    gone = [saved.best_directory / "7", saved.best_directory / "8"]
    monkeypatch.setattr(module, "_steps", lambda folder: gone)
    saved.keep_best(8)
    assert (saved.best_directory / "8").is_dir()


@pytest.mark.parametrize("save", ["best", "last"])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError(FULL), "No space left on device"),
        (ValueError(LARGE), "File too large"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_a_disk_that_fills_up_is_told(tmp_path, learner, monkeypatch, save, error, words):
    fail_writing(monkeypatch, error)
    with pytest.raises(UserError, match=rf"cannot write the checkpoint .*: {words}"):
        save_to(save, tmp_path, learner)


@pytest.mark.parametrize("save", ["best", "last"])
def test_another_error_of_the_saving_stays_what_it_is(tmp_path, learner, monkeypatch, save):
    fail_writing(monkeypatch, ValueError("a defect"))
    with pytest.raises(ValueError, match="a defect"):
        save_to(save, tmp_path, learner)


def fail_writing(monkeypatch, error):
    def fail(*args):
        raise error

    monkeypatch.setattr("fakd_jax.models.checkpoint.write_arrays", fail)


def save_to(kind, folder, learner):
    checkpoints = PhaseCheckpoints(folder)
    if kind == "best":
        save_best(checkpoints, learner, 4)
    else:
        save_last(checkpoints, learner)
