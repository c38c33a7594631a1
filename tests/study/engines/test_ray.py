"""The engine of Ray: what is given to it, what is given again, and what is not."""

import re
from types import SimpleNamespace

import pytest

from fakd_jax.cli.runner import run_command
from fakd_jax.configs.study import get_config
from fakd_jax.errors import UserError
from fakd_jax.study.__main__ import main
from fakd_jax.study.cells import open_study
from fakd_jax.study.engines import ray as engine
from fakd_jax.study.engines.ray import MAX_LOST_WORKERS, RayEngine, RayOptions
from fakd_jax.study.results import is_finished, mark_failed
from tests.ray_errors import EXCEPTIONS, LostWorkerError

PROBLEM = "the disk is full"


class FakeRay:
    """Ray with one worker, which ends the oldest task at every `wait`.

    Args:
      work: called with a cell; returns a problem or "", or raises.
      machines: their resources.
    """

    exceptions = EXCEPTIONS

    def __init__(self, work, machines):
        self.work = work
        self.machines = machines
        self.given, self.cancelled = [], []
        self.options = {}

    def init(self, **options):
        self.options |= options

    def shutdown(self):
        self.options["shut down"] = True

    def nodes(self):
        return [{"Alive": True, "Resources": resources} for resources in self.machines]

    def remote(self, **options):
        self.options |= options
        return lambda function: SimpleNamespace(remote=self.give)

    def give(self, job, cell):
        self.given.append(cell)
        return len(self.given) - 1

    def wait(self, tasks, **options):
        return tasks[:1], tasks[1:]

    def get(self, task):
        return engine._Outcome(self.work(self.given[task]), 1.0, "a worker")

    def cancel(self, task):
        self.cancelled.append(self.given[task])


@pytest.fixture
def study(tmp_path, monkeypatch):
    config = get_config("phantom")
    config.study.update({"seeds": (0, 1), "methods": ("teacher", "student", "fakd")})
    monkeypatch.setattr(engine, "write_report", lambda study: None)
    monkeypatch.setattr(engine, "read_results", lambda study: [])
    return open_study(config, tmp_path)


@pytest.fixture
def run(study, monkeypatch):
    """Runs the study on a fake Ray, and returns that."""

    def run(work, machines=({"CPU": 8.0}, {"CPU": 2.0, "GPU": 1.0}), **options):
        ray = FakeRay(work, machines)
        monkeypatch.setattr("fakd_jax.runtime.ray.import_extra", lambda *names: ray)
        try:
            RayEngine(RayOptions("study", **options)).run(study)
        finally:
            run.ray = ray
        return ray

    return run


@pytest.fixture
def finish(study):
    def finish(cell):
        assert not is_finished(study, cell)
        study.folder(cell).mkdir(parents=True)
        (study.folder(cell) / "cell.json").write_text("{}")
        return ""

    return finish


def by_name(study, name):
    (found,) = [cell for cell in study.cells if str(cell) == f"official, {name}"]
    return found


def test_every_cell_is_given_once_and_students_after_their_teacher(study, run, finish):
    ray = run(finish)
    assert sorted(map(str, ray.given)) == sorted(map(str, study.cells))
    for seed in (0, 1):
        teacher, fakd = (by_name(study, f"seed {seed}, {name}") for name in ("teacher", "fakd"))
        assert ray.given.index(teacher) < ray.given.index(fakd)
    assert ray.options["shut down"]
    assert list(study.workdir.glob(".*")) == []  # the probe is removed


def test_a_finished_study_does_not_start_ray(study, run, finish):
    for cell in study.cells:
        finish(cell)
    assert run(pytest.fail).options == {}


def test_the_cell_of_a_lost_worker_is_given_again(study, run, finish):
    lost = by_name(study, "seed 1, student")
    crashes = iter([True, True, False])

    def crash_twice(cell):
        if cell == lost and next(crashes):
            raise LostWorkerError("The worker died. Look here and there.")
        return finish(cell)

    ray = run(crash_twice)
    assert ray.given.count(lost) == 3
    assert len(ray.given) == len(study.cells) + 2


def test_a_cell_that_loses_worker_after_worker_is_an_error(study, run, finish):
    lost = by_name(study, "seed 0, student")

    def crash(cell):
        if cell == lost:
            raise LostWorkerError("The worker died.")
        return finish(cell)

    with pytest.raises(UserError, match=r"1 of 6 cells .*seed 0, student: 10 workers were lost"):
        run(crash)
    assert run.ray.given.count(lost) == MAX_LOST_WORKERS == 10
    assert sum(is_finished(study, cell) for cell in study.cells) == 5


def test_an_error_is_not_tried_again_and_the_other_cells_go_on(study, run, finish):
    broken = by_name(study, "seed 0, teacher")
    message = r"1 of 6 cells had errors, first official, seed 0, teacher: the disk is full; .*again"
    with pytest.raises(UserError, match=message):
        run(lambda cell: PROBLEM if cell == broken else finish(cell))
    assert run.ray.given.count(broken) == 1
    left = [str(cell) for cell in study.cells if not is_finished(study, cell)]
    assert left == ["official, seed 0, teacher", "official, seed 0, fakd"]


def test_a_cell_that_does_not_appear_is_a_problem_of_its_own(study, run, finish, monkeypatch):
    monkeypatch.setattr(engine, "VISIBLE_SECONDS", -1.0)
    hidden = by_name(study, "seed 0, student")
    message = rf"1 of 6 cells .*seed 0, student: .* {study.folder(hidden)}; check the shared disk"
    with pytest.raises(UserError, match=message):
        run(lambda cell: "" if cell == hidden else finish(cell))
    assert run.ray.given.count(hidden) == 1
    assert [cell for cell in study.cells if not is_finished(study, cell)] == [hidden]


def test_a_failed_teacher_takes_its_student_with_it(study, run, finish):
    def diverge(cell):
        if cell == by_name(study, "seed 0, teacher"):
            study.folder(cell).mkdir(parents=True)
            mark_failed(study, cell, "not finite")
            return ""
        return finish(cell)

    assert by_name(study, "seed 0, fakd") not in run(diverge).given


def test_an_interrupt_cancels_what_runs(study, run, finish):
    def interrupt(cell):
        if cell.method == "student":
            raise KeyboardInterrupt
        return finish(cell)

    with pytest.raises(KeyboardInterrupt):
        run(interrupt)
    finished = {cell for cell in run.ray.given if is_finished(study, cell)}
    # But for the one at which the interrupt came.
    assert len(run.ray.cancelled) == len(run.ray.given) - len(finished) - 1
    assert run.ray.options["shut down"]


@pytest.mark.parametrize(
    ("machines", "flags", "expected"),
    [
        ([{"CPU": 16.0}], {}, (4, 0)),
        ([{"CPU": 2.0}], {}, (2, 0)),
        ([{"CPU": 16.0}, {"CPU": 2.0, "GPU": 4.0}], {}, (2, 1)),
        ([{"CPU": 16.0, "GPU": 4.0}], {"gpus_per_cell": 0.5, "cpus_per_cell": 3}, (3, 0.5)),
        ([{"CPU": 16.0, "GPU": 4.0}], {"gpus_per_cell": 0}, (4, 0)),
    ],
)
def test_a_cell_reserves_what_it_uses(run, finish, machines, flags, expected):
    options = run(finish, machines, **flags).options
    assert (options["num_cpus"], options["num_gpus"]) == expected
    environment = options["runtime_env"]["env_vars"]
    assert environment["NPROC"] == str(expected[0])
    share = environment.get("XLA_PYTHON_CLIENT_MEM_FRACTION")
    assert share == ("0.375" if expected[1] == 0.5 else None)
    assert options["max_retries"] == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"cpus_per_cell": 3}, "3 CPUs and 1 GPUs .* 2 CPUs beside 1"),
        ({"cpus_per_cell": 9, "gpus_per_cell": 0}, "9 CPUs and 0 GPUs .* 8 CPUs beside 0"),
        ({"gpus_per_cell": 2}, "1 CPUs and 2 GPUs .*at most 1 GPUs"),
    ],
)
def test_more_than_any_machine_has_is_refused(run, finish, flags, message):
    with pytest.raises(UserError, match=message):
        run(finish, **flags)
    assert run.ray.given == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": "0.0"}, r"has fakd_jax .* that gave the task 0\.0"),
        ({"probe": "elsewhere"}, "does not see the workdir .* that all machines .* share"),
    ],
)
def test_a_worker_in_other_surroundings_does_nothing(study, tmp_path, monkeypatch, change, message):
    probe = tmp_path / change.get("probe", "probe")
    (tmp_path / "probe").touch()
    version = change.get("version", engine.__version__)
    job = engine._Job(study, "study", probe, tmp_path, version)
    monkeypatch.setattr(engine, "run_cell", pytest.fail)
    outcome = engine._run_on_worker(job, study.cells[0])
    assert re.search(message, outcome.problem)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engine=cluster"], ["cluster", "local", "ray"]),
        (["--cpus-per-cell=1"], ["--cpus-per-cell needs --engine ray"]),
        (["--engine=ray", "--gpus-per-cell=1.5"], ["--gpus-per-cell", "1.5"]),
        (["--engine=ray", "--cpus-per-cell=0"], ["--cpus-per-cell", "at least 1"]),
    ],
)
def test_wrong_flags_are_one_line(capsys, tmp_path, arguments, words):
    with pytest.raises(SystemExit) as ended:
        run_command(main, ["--config=study:phantom", f"--workdir={tmp_path}", *arguments])
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert all(word in errors for word in words), errors


def test_the_precision_is_that_of_a_worker_and_asked_only_where_it_is_open(monkeypatch):
    ray = FakeRay(pytest.fail, [{"CPU": 4.0, "GPU": 1.0}])
    monkeypatch.setattr("fakd_jax.runtime.ray.import_extra", lambda *names: ray)
    monkeypatch.setattr(ray, "give", lambda name: name)
    monkeypatch.setattr(ray, "get", lambda name: "a worker's " + name)
    assert RayEngine(RayOptions("study")).compute_dtype("float32") == "float32"
    assert ray.options == {}
    assert RayEngine(RayOptions("study")).compute_dtype("auto") == "a worker's auto"
    assert ray.options["num_gpus"] == 1
