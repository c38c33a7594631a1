"""Chunks as tasks of Ray: order, number, size and lost workers; with a Ray in this process."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fakd_jax.errors import UserError
from fakd_jax.runtime import ray_mapping
from fakd_jax.runtime.ray import MAX_LOST_WORKERS, NO_IMPORT
from fakd_jax.runtime.ray_mapping import TASKS_PER_CPU, RayMapper
from tests.ray_errors import EXCEPTIONS, LostWorkerError, RayError, TaskError

CPUS = 3


class FakeRay:
    """Ray in this process: a task runs when its result is asked for.

    Attributes:
      lose: called with the number of a task; whether its worker dies.
      most: the greatest number of tasks given and not yet fetched.
    """

    exceptions = EXCEPTIONS

    def __init__(self) -> None:
        self.lose: Callable[[int], bool] = lambda number: False
        self.machines = [{"CPU": 2.0}, {"CPU": 1.0, "GPU": 4.0}, {}]
        self.tasks: list[Callable[[], Any]] = []
        self.waiting: set[int] = set()
        self.most = 0
        self.ended = False
        self.options: dict[str, Any] = {}

    def init(self, **options):
        self.options |= options

    def shutdown(self):
        self.ended = True

    def nodes(self):
        return [{"Alive": True, "Resources": resources} for resources in self.machines]

    def put(self, value):
        return value

    def remote(self, **options):
        self.options |= options
        return lambda function: SimpleNamespace(remote=lambda *args: self._give(function, args))

    def _give(self, function, args):
        self.tasks.append(lambda: function(*args))
        self.waiting.add(len(self.tasks) - 1)
        self.most = max(self.most, len(self.waiting))
        return len(self.tasks) - 1

    def get(self, task):
        self.waiting.remove(task)
        if self.lose(task):
            raise LostWorkerError("The worker\ndied. Look here and there.")
        try:
            return self.tasks[task]()
        except Exception as error:
            raise TaskError(error) from None


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    fake = FakeRay()
    monkeypatch.setattr("fakd_jax.runtime.ray.import_extra", lambda *names: fake)
    return fake


def prepare() -> None:
    prepared.append(True)


prepared: list[bool] = []
lines: list[str] = []


@pytest.fixture
def mapper(ray: FakeRay) -> Iterator[RayMapper]:
    prepared.clear()
    lines.clear()
    with RayMapper("local", "a test", prepare, lines.append) as mapper:
        yield mapper


def test_results_come_in_order_after_the_worker_is_prepared_and_few_tasks_wait(ray, mapper):
    chunks = ((number, 1) for number in range(50))
    assert list(mapper.map(operator.sub, chunks)) == list(range(-1, 49))
    assert len(prepared) == 50
    assert ray.most == TASKS_PER_CPU * CPUS
    assert (ray.options["num_cpus"], ray.options["max_retries"]) == (1, 0)
    environment = ray.options["runtime_env"]["env_vars"]
    assert (environment["NPROC"], environment["JAX_PLATFORMS"]) == ("1", "cpu")
    assert lines == ["machines in Ray: 3, with CPUs: 3"]


def test_large_chunks_wait_until_they_fit(ray, mapper, monkeypatch):
    monkeypatch.setattr(ray_mapping, "BYTES_AHEAD", 3000)
    one, large = np.ones(100), np.ones((2, 600))[:, :500]  # 800 and, not contiguous, 8000 bytes
    found = list(mapper.map(np.sum, [(one,)] * 9))
    assert (found, ray.most) == ([100.0] * 9, 3)
    ray.most = 0
    assert list(mapper.map(np.sum, [(large,), (one,), (large,)])) == [1000.0, 100.0, 1000.0]
    assert ray.most == 1


def test_the_task_of_a_lost_worker_is_given_again_and_the_order_is_kept(ray, mapper):
    ray.lose = lambda number: number in (2, 6)  # 6 is the one in its place
    assert list(mapper.map(abs, [(-number,) for number in range(10)])) == list(range(10))
    assert len(ray.tasks) == 12
    again = "Ray: a worker was lost (The worker died); its task is given to another"
    assert lines[1:] == [again] * 2


def test_a_task_that_loses_worker_after_worker_is_an_error(ray, mapper):
    ray.lose = lambda number: True
    with pytest.raises(UserError, match=r"10 workers were lost with one task, .*worker died; see"):
        list(mapper.map(abs, [(1,)]))
    assert len(ray.tasks) == MAX_LOST_WORKERS == 10


def test_errors_are_the_function_s_own(mapper):
    with pytest.raises(ZeroDivisionError):
        list(mapper.map(divmod, [(1, 0)]))
    with pytest.raises(UserError, match=r"^no picture$"):
        list(mapper.map(refuse, [("no picture",)]))


def refuse(message: str) -> None:
    raise UserError(message)


def test_a_worker_of_another_version_does_nothing(mapper, monkeypatch):
    monkeypatch.setattr(ray_mapping, "__version__", "0.0")
    with pytest.raises(UserError, match=r"has fakd_jax .* gave the task 0\.0; install the same"):
        list(mapper.map(abs, [(1,)]))
    assert prepared == []


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (TaskError(RuntimeError(f"It {NO_IMPORT}.\nTraceback\nno module X")), r"import .*\(no mod"),
        (TaskError(ModuleNotFoundError("no module Y")), r"cannot import .*\(no module Y\); inst"),
        (RayError("The cluster is gone. Sorry."), r"Ray failed \(The cluster is gone\)"),
    ],
)
def test_what_is_wrong_with_the_cluster_is_one_line(ray, mapper, monkeypatch, raised, message):
    def fail(task):
        raise raised

    monkeypatch.setattr(ray, "get", fail)
    with pytest.raises(UserError, match=message) as refused:
        list(mapper.map(abs, [(1,)]))
    assert "\n" not in str(refused.value)


def test_ray_is_left_in_any_case(ray):
    with pytest.raises(KeyboardInterrupt), RayMapper("local", "a test", prepare, lines.append):
        raise KeyboardInterrupt
    assert ray.ended


def test_a_cluster_without_a_cpu_is_refused(ray):
    ray.machines = [{"GPU": 1.0}]
    with pytest.raises(UserError, match="no machine of Ray's at local has a CPU"):
        RayMapper("local", "a test", prepare)
    assert ray.ended
