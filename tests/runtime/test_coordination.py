"""Agreement between processes, with a key-value store in memory instead of JAX's service."""

import json

import pytest

from fakd_jax.errors import LostProcessError, UserError
from fakd_jax.runtime import coordination
from fakd_jax.runtime.coordination import StopVote, from_writer, require_same, writer_first


class Store:
    """Two processes in one: `process` says which one calls."""

    def __init__(self, monkeypatch):
        self.values = {}
        self.read = []
        self.process = 0
        monkeypatch.setattr(coordination, "process_count", lambda: 2)
        monkeypatch.setattr(coordination, "process_index", lambda: self.process)
        monkeypatch.setattr(coordination, "is_writer", lambda: self.process == 0)
        monkeypatch.setattr(coordination, "coordination_client", lambda: self)

    def key_value_set(self, key, value):
        assert key not in self.values
        self.values[key] = value

    def blocking_key_value_get(self, key, timeout_in_ms):
        return self.values[key]

    def key_value_dir_get(self, folder):
        self.read.append(folder)
        return [(key, value) for key, value in self.values.items() if key.startswith(folder)]

    def wait_at_barrier(self, key, timeout_in_ms):
        pass

    def on_each(self, call):
        """Calls on process 0, then on process 1; returns results or exceptions."""
        results = []
        first_call = next(coordination._calls) + 1
        for self.process in (0, 1):
            coordination._calls = iter(range(first_call, first_call + 9))
            try:
                results.append(call(self.process))
            except (Exception, KeyboardInterrupt) as error:
                results.append(error)
        return results


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr(coordination, "_calls", iter(range(9)))
    return Store(monkeypatch)


def test_what_process_0_decides_reaches_the_other(store):
    called = []
    assert store.on_each(lambda process: from_writer(lambda: called.append(process) or 7)) == [7, 7]
    assert called == [0]
    assert store.on_each(lambda process: writer_first(lambda: f"read by {process}")) == [
        "read by 0",
        "read by 1",
    ]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UserError("mend it"), UserError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (ValueError("a bug"), LostProcessError),
    ],
)
def test_what_process_0_raises_reaches_the_other(store, error, expected):
    def fail():
        raise error

    first, second = store.on_each(lambda process: from_writer(fail))
    assert first is error
    assert type(second) is expected
    assert str(error) in str(second)


def test_another_value_than_that_of_process_0_is_a_user_error(store):
    assert store.on_each(lambda process: require_same("split", "a")) == [None, None]
    first, second = store.on_each(lambda process: require_same("split", f"of {process}"))
    assert first is None
    assert isinstance(second, UserError)


@pytest.mark.parametrize("asking", [0, 1])
@pytest.mark.parametrize("ahead", [0, 2])
def test_both_stop_after_the_same_step_whoever_asks(store, asking, ahead):
    """Process 1 lags behind process 0, and then leads it, as far as steps in flight allow."""
    for lead in range(-ahead - 1, ahead + 2):
        store.values.clear()
        store.process = 0
        coordination._calls = iter([5, 5])
        votes = [StopVote(ahead), StopVote(ahead)]
        stopped: dict[int, int] = {}
        steps = [0, 0]
        order = [0, 1] if lead <= 0 else [1, 0]
        for tick in range(40):
            for process in order:
                waits = process == order[1] and tick < abs(lead)
                if process in stopped or waits:
                    continue
                steps[process] += 1
                store.process = process
                asked = process == asking and steps[process] >= 4
                if votes[process].agreed(asked, steps[process]):
                    stopped[process] = steps[process]
        assert stopped[0] == stopped[1], lead
        assert stopped[0] - 4 <= 2 * (ahead + 2) + 2


def test_process_0_reads_once_a_step_as_the_other_does(store):
    votes = store.on_each(lambda process: StopVote(0))
    store.read.clear()
    assert store.on_each(lambda process: votes[process].agreed(False, 1)) == [False, False]
    assert len(store.read) == 2


def test_a_request_after_the_last_step_is_agreed_on_too(store):
    votes = store.on_each(lambda process: StopVote(0))
    answers = []
    for store.process in (1, 0):  # the real barrier makes each wait for the other
        votes[store.process]._ask(store.process == 1)
    for store.process in (0, 1):
        answers.append(votes[store.process].agreed_at_end(False, 8))
    assert answers == [True, True]
    assert json.loads(store.values[next(key for key in store.values if key.endswith("step"))]) == 8
