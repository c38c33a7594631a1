"""Studies whose processes are killed end as if nothing had happened, by whoever goes on."""

import json
import os
import signal
import time

import pytest
from filelock import SoftFileLease

from fakd_jax.runs.files import CLAIM_FILE
from fakd_jax.study.run import run_study
from tests.study.small_study import SMALL_STUDY, without_times
from tests.tiny import tiny_study

pytestmark = pytest.mark.slow


def wait_for(condition, processes):
    deadline = time.monotonic() + 900
    while not condition():
        for process in processes:
            assert process.poll() is None, "the study ended before it could be interrupted"
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.002)


def within_a_phase(folder):
    """Whether a checkpoint of the first epoch's steps is there, and its last one is not."""
    steps = [int(child.name) for child in folder.glob("*/last/*") if child.name.isdecimal()]
    return bool(steps) and max(steps) < 4


def claimant(folder):
    """The process that has claimed a cell."""
    return SoftFileLease(folder / CLAIM_FILE, lease_duration=120).owner.pid


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("where", ["within fakd", "after teacher"])
def test_a_study_killed_at_any_moment_ends_as_if_nothing_had_happened(
    kill, where, whole, data, cache, tmp_path, start_study
):
    workdir = tmp_path / "study"
    cells = workdir / "official" / "seed0"
    conditions = {
        "within fakd": lambda: within_a_phase(cells / "fakd"),
        "after teacher": (cells / "teacher" / "cell.json").is_file,
    }
    process = start_study()
    wait_for(conditions[where], [process])
    process.send_signal(kill)
    assert process.wait(600) == (-signal.SIGKILL if kill == signal.SIGKILL else 130)
    log = (workdir / "study.log").read_text()
    assert ("run the same command to resume" in log) == (kill == signal.SIGINT)
    report = run_study(tiny_study(data, cache, **SMALL_STUDY), workdir)
    assert without_times(report) == without_times(whole[1])


def test_of_two_processes_on_one_study_the_other_finishes_when_one_is_killed(
    whole, tmp_path, start_study
):
    workdir = tmp_path / "study"
    cells = workdir / "official" / "seed0"
    processes = {process.pid: process for process in (start_study(), start_study())}
    wait_for(lambda: within_a_phase(cells / "fakd"), processes.values())
    killed = processes.pop(claimant(cells / "fakd"))
    killed.kill()
    killed.wait()  # else it is a zombie, which counts as alive
    (other,) = processes.values()
    assert other.wait(900) == 0
    log = (workdir / "study.log").read_text()
    print(log)
    begun = {method: log.count(f"seed 0, {method};") for method in SMALL_STUDY["methods"]}
    assert begun == {"teacher": 1, "student": 1, "fakd": 2}
    assert f"claimed before by process {killed.pid}" in log
    report = json.loads((workdir / "study.json").read_text())
    assert without_times(report) == without_times(whole[1])


@pytest.fixture
def one_thread(tmp_path, start_study, monkeypatch):
    """The report of a local study with as many threads of XLA as a cell of the Ray studies."""
    monkeypatch.setenv("NPROC", "1")
    assert start_study(f"--workdir={tmp_path / 'local'}").wait(900) == 0
    return json.loads((tmp_path / "local" / "study.json").read_text())


def test_a_ray_study_survives_a_kill_and_an_interrupt(one_thread, tmp_path, start_study):
    pytest.importorskip("ray")
    workdir = tmp_path / "study"
    cells = workdir / "official" / "seed0"
    flags = ("--engine=ray", "--cpus-per-cell=1")

    study = start_study(*flags)
    wait_for(lambda: within_a_phase(cells / "teacher"), [study])
    killed = claimant(cells / "teacher")
    assert killed != study.pid
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: within_a_phase(cells / "fakd"), [study])
    study.send_signal(signal.SIGINT)
    assert study.wait(300) == 130
    log = (workdir / "study.log").read_text()
    given = {method: log.count(f"seed 0, {method}: given") for method in SMALL_STUDY["methods"]}
    assert given == {"teacher": 2, "student": 1, "fakd": 1}
    assert "teacher: its worker was lost" in log
    assert "2 of 3 cells are finished" in log

    assert start_study(*flags).wait(900) == 0
    log = (workdir / "study.log").read_text()
    print(log)
    finished = [log.count(f"{method}: finished in") for method in SMALL_STUDY["methods"]]
    assert finished == [1, 1, 1]
    for method in ("teacher", "fakd"):
        assert "resumed at step" in (cells / method / "train.log").read_text()
    report = json.loads((workdir / "study.json").read_text())
    assert without_times(report) == without_times(one_thread)
