"""Which checkpoints stay, which one is resumed, and the error if they cannot be written."""

import re
import shutil
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from fakd_jax.errors import DamagedError, UserError
from fakd_jax.runs.integrity import check_folder
from fakd_jax.training import checkpoints as module
from fakd_jax.training.checkpoints import PhaseCheckpoints
from fakd_jax.training.metric_log import LOGGER
from fakd_jax.training.state import Learner, initial_state
from tests.tiny import contents

# What Orbax raises on a full disk.
FULL = 'RESOURCE_EXHAUSTED: Error writing "a/0": Failed to write: No space left on device'
METADATA = {"arch": "linear", "num_classes": 3}


@pytest.fixture(scope="module")
def learner():
    return Learner(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))


@pytest.fixture(scope="module")
def initial(learner):
    return initial_state(learner, optax.adam(1e-3))


@pytest.fixture(scope="module")
def save(learner, initial):
    """Saves a step; `best` is the step of the best network so far."""

    def save(checkpoints, step, best=0):
        state = initial._replace(step=jnp.int32(step))
        position = {"early_stopping": {"best_step": best}}
        chosen = (state, METADATA) if step == best else None
        checkpoints.save(learner, state, METADATA, position, best=chosen)

    return save


@pytest.fixture(scope="module")
def four(save, tmp_path_factory):
    """The folder of a phase that saved the steps 4, 8, 10 and 12; 4, 8 and 12 were the best."""
    checkpoints = PhaseCheckpoints(tmp_path_factory.mktemp("four"))
    for step, best in ((4, 4), (8, 8), (10, 8), (12, 12)):
        save(checkpoints, step, best)
    checkpoints.close()
    return checkpoints.directory


@pytest.fixture
def saved(four, tmp_path):
    """The checkpoints in a copy of that folder."""
    return PhaseCheckpoints(shutil.copytree(four, tmp_path / "student"))


def names(folder):
    return {path.name for path in folder.iterdir()}


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_the_newest_two_stay_with_the_best_that_they_know(saved, save, learner, initial):
    assert names(saved.last_directory) == {"10", "12"}
    assert names(saved.best_directory) == {"8", "12"}
    state, position = saved.restore_last(learner, initial)
    assert (int(state.step), position["early_stopping"]["best_step"]) == (12, 12)
    (saved.last_directory / ".11.saving").mkdir()  # a killed process left it
    save(saved, 13, 12)
    saved.close()
    assert names(saved.last_directory) == {"12", "13"}
    assert names(saved.best_directory) == {"12"}


def test_a_process_killed_while_it_removes_leaves_nothing_damaged(saved, save, monkeypatch):
    def begin(folder, **_):  # removes one file of a folder, as far as it comes
        if folder.exists():
            (folder / "metadata.json").unlink()

    checkpoints = PhaseCheckpoints(saved.directory)
    with monkeypatch.context() as patch:
        patch.setattr(module.shutil, "rmtree", begin)
        module._remove_others(saved.last_directory, {12})
    assert (saved.last_directory / ".10.removed").is_dir()
    assert [finding.name for finding in check_folder(saved.directory) if finding.damage] == []
    save(checkpoints, 14, 12)
    checkpoints.close()
    assert not (saved.last_directory / ".10.removed").exists()


@pytest.mark.parametrize(
    ("victim", "message"),
    [
        ("last/12/training/_METADATA", r"last/12 is damaged .*: training/_METADATA changed"),
        ("last/12/position.json", r"last/12 is damaged .*: position.json changed"),
        ("last/12/metadata.json", r"last/12 is damaged .*: metadata.json changed"),
        ("last/12/SHA256SUMS", r"last/12 is damaged"),
        ("best/12/model/manifest.ocdbt", r"best/12 is damaged .*: model/manifest.ocdbt changed"),
    ],
)
def test_a_damaged_newest_is_named_and_the_one_before_resumed(
    victim, message, saved, save, learner, initial, caplog, monkeypatch
):
    monkeypatch.setattr(LOGGER, "propagate", True)
    flip(saved.directory / victim)
    before = contents(saved.directory)
    state, position = saved.restore_last(learner, initial)
    assert (int(state.step), position["early_stopping"]["best_step"]) == (10, 8)
    (warning,) = caplog.records
    assert warning.levelname == "WARNING"
    assert re.search(message, warning.getMessage())
    assert contents(saved.directory) == before  # nothing is removed before something new is written
    save(saved, 12, 12)
    saved.close()
    assert names(saved.last_directory) == {"10", "12"}
    assert names(saved.best_directory) == {"8", "12"}
    assert int(PhaseCheckpoints(saved.directory).restore_last(learner, initial)[0].step) == 12
    assert len(caplog.records) == 1


def test_a_missing_part_counts_as_damage(saved, learner, initial):
    (saved.last_directory / "12" / "metadata.json").unlink()
    assert int(saved.restore_last(learner, initial)[0].step) == 10
    shutil.rmtree(saved.best_directory / "8")
    with pytest.raises(DamagedError, match=r"best/8 is missing"):
        PhaseCheckpoints(saved.directory).restore_last(learner, initial)


def test_without_an_intact_checkpoint_nothing_is_removed(saved, learner, initial):
    for step in ("10", "12"):
        flip(saved.last_directory / step / "position.json")
    before = contents(saved.directory)
    with pytest.raises(DamagedError, match=r"last/12 .*last/10 .*restore one, or delete") as caught:
        saved.restore_last(learner, initial)
    assert "\n" not in str(caught.value)
    assert contents(saved.directory) == before


def test_another_config_is_no_damage(saved, learner):
    with pytest.raises(UserError, match="does not fit this config") as caught:
        saved.restore_last(learner, initial_state(learner, optax.sgd(1e-3)))
    assert not isinstance(caught.value, DamagedError)


def test_a_checkpoint_is_a_copy_of_the_state(learner, initial, tmp_path, monkeypatch):
    """The next step reuses the memory of the state, of which a NumPy array may be a view."""
    written = []
    monkeypatch.setattr(module, "write_checkpoint", lambda *arguments: written.append(arguments))
    checkpoints = PhaseCheckpoints(tmp_path)
    checkpoints.save(learner, initial, METADATA, {})
    checkpoints.close()
    views = [np.asarray(leaf) for leaf in jax.tree.leaves(initial)]
    copies = jax.tree.leaves(written[0][1])
    assert len(copies) >= len(views)
    assert not any(np.shares_memory(copy, view) for copy in copies for view in views)


def test_training_goes_on_while_one_checkpoint_is_written(save, tmp_path, monkeypatch):
    go_on, events = threading.Event(), []

    def slow(directory, *arguments):
        events.append(f"begin {directory.name}")
        assert go_on.wait(10)
        events.append(f"end {directory.name}")

    monkeypatch.setattr(module, "write_checkpoint", slow)
    checkpoints = PhaseCheckpoints(tmp_path)
    save(checkpoints, 1)
    events.append("trained")
    threading.Timer(0.1, go_on.set).start()
    save(checkpoints, 2)
    checkpoints.close()
    assert sorted(events[:2]) == ["begin 1", "trained"]
    assert events[2:] == ["end 1", "begin 2", "end 2"]


def test_a_checkpoint_is_due_after_the_minutes_given(save, tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    monkeypatch.setattr(module, "write_checkpoint", lambda *arguments: None)
    checkpoints = PhaseCheckpoints(tmp_path, minutes=5)
    now += 299
    assert not checkpoints.is_due()
    now += 1
    assert checkpoints.is_due()
    save(checkpoints, 1)
    assert not checkpoints.is_due()
    checkpoints.close()
    assert PhaseCheckpoints(tmp_path, minutes=0).is_due()


@pytest.mark.parametrize("kind", ["best", "last"])
@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (ValueError(FULL), UserError, "cannot write .*: No space left on device"),
        (OSError(28, "No space left"), UserError, "cannot write .*: No space left"),
        (ValueError("a bug"), ValueError, "a bug"),
    ],
)
def test_a_full_disk_is_a_user_error(save, tmp_path, monkeypatch, kind, error, raised, message):
    def fail(*args):
        raise error

    monkeypatch.setattr("fakd_jax.models.checkpoint.write_arrays", fail)
    checkpoints = PhaseCheckpoints(tmp_path)
    save(checkpoints, 4, best=4 if kind == "best" else 0)
    with pytest.raises(raised, match=message):
        checkpoints.wait()
    checkpoints.close()  # an error is raised once
    assert names(tmp_path / kind) == set()


def test_nothing_is_written_where_the_folder_was_moved_away(save, tmp_path):
    checkpoints = PhaseCheckpoints(tmp_path / "run" / "student")
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    save(checkpoints, 4)
    with pytest.raises(UserError, match="moved or removed"):
        checkpoints.wait()
    checkpoints.close()
    assert not (tmp_path / "run").exists()


def test_a_failed_checkpoint_stops_training_at_its_next_step(save, tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left")

    def train():
        for _ in range(1000):
            checkpoints.is_due()
            time.sleep(0.01)

    monkeypatch.setattr(module, "write_checkpoint", fail)
    checkpoints = PhaseCheckpoints(tmp_path)
    save(checkpoints, 4)
    with pytest.raises(UserError, match="cannot write"):
        train()
    checkpoints.close()
