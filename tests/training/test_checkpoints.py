"""Which checkpoints stay, and the error if they cannot be written."""

import jax.numpy as jnp
import optax
import pytest
from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.training import checkpoints as module
from fakd_jax.training.checkpoints import PhaseCheckpoints
from fakd_jax.training.state import Learner, initial_state

# What Orbax raises on a full disk.
FULL = 'RESOURCE_EXHAUSTED: Error writing "a/0": Failed to write: No space left on device'
METADATA = {"arch": "linear", "num_classes": 3}


def save(kind, checkpoints, step):
    learner = Learner(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    state = initial_state(learner, optax.adam(1e-3))._replace(step=jnp.int32(step))
    if kind == "best":
        checkpoints.save_best(learner, state, METADATA)
    else:
        checkpoints.save_last(learner, state, METADATA, {})


@pytest.fixture
def saved(tmp_path):
    """Best checkpoints of the steps 4, 8 and 12, as kills may have left them."""
    checkpoints = PhaseCheckpoints(tmp_path / "student")
    for step in (4, 8, 12):
        save("best", checkpoints, step)
    return checkpoints


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_best_leaves_the_previous_one_until_one_is_kept(saved):
    assert names(saved.best_directory) == ["12", "4", "8"]
    assert saved.best(8) == saved.best_directory / "8"
    saved.keep_best(8)
    assert names(saved.best_directory) == ["8"]


def test_no_best_is_removed_for_a_missing_one(saved):
    saved.keep_best(5)
    assert names(saved.best_directory) == ["12", "4", "8"]
    with pytest.raises(UserError, match=r"best/5 is missing; delete .*student"):
        saved.best(5)


def test_another_process_may_remove_the_same_checkpoint_first(saved, monkeypatch):
    gone = [saved.best_directory / "7", saved.best_directory / "8"]
    monkeypatch.setattr(module, "_steps", lambda folder: gone)
    saved.keep_best(8)
    assert (saved.best_directory / "8").is_dir()


@pytest.mark.parametrize("kind", ["best", "last"])
@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (ValueError(FULL), UserError, "cannot write .*: No space left on device"),
        (OSError(28, "No space left"), UserError, "cannot write .*: No space left"),
        (ValueError("a bug"), ValueError, "a bug"),
    ],
)
def test_a_full_disk_is_a_user_error(tmp_path, monkeypatch, kind, error, raised, message):
    def fail(*args):
        raise error

    monkeypatch.setattr("fakd_jax.models.checkpoint.write_arrays", fail)
    with pytest.raises(raised, match=message):
        save(kind, PhaseCheckpoints(tmp_path), 4)
