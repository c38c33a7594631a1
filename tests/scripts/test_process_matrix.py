"""Several devices and processes, for real: losses, a killed process, and resuming on others."""

import re
import shutil
import signal
import time

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def matrix(load_script):
    return load_script("process_matrix")


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("matrix")


@pytest.fixture(scope="module")
def alone(matrix, output):
    matrix.run(output / "1x1", 1, 1)
    return matrix.losses(output / "1x1")


@pytest.mark.parametrize(("processes", "devices"), [(1, 2), (1, 8), (2, 1), (2, 4)])
def test_devices_and_processes_give_the_losses_of_one(matrix, alone, output, processes, devices):
    workdir = output / f"{processes}x{devices}"
    matrix.run(workdir, processes, devices)
    assert matrix.largest_difference(alone, matrix.losses(workdir)) < 1e-3


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_other_with_one_line(matrix, output, victim):
    workdir = output / f"killed-{victim}"
    seconds, code, line = matrix.kill_one(workdir, victim)
    assert seconds < matrix.LOST_WITHIN_S
    assert code == 3
    assert line.startswith("error: ")
    assert "Check failure" not in (workdir / f"process-{1 - victim}.txt").read_text()


@pytest.mark.parametrize(("first", "second"), [((1, 8), (1, 1)), ((1, 1), (2, 2))])
def test_a_run_goes_on_with_other_devices_and_processes(matrix, alone, output, first, second):
    workdir = output / f"{first}-{second}"
    matrix.run(workdir, *first, "--config.train=teacher", "--config.teacher.num_epochs=2")
    metrics = workdir / "metrics.jsonl"
    records = metrics.read_text().splitlines()
    before, newest = sorted((workdir / "teacher" / "last").glob("*"), key=lambda f: int(f.name))
    shutil.rmtree(newest)  # as if the run had ended after the first epoch
    assert int(before.name) == 4
    matrix.run(workdir, *second, "--config.train=teacher", "--config.teacher.num_epochs=2")
    assert len(metrics.read_text().splitlines()) == len(records)
    same = {key: value for key, value in alone.items() if key[0] == "teacher"}
    assert matrix.largest_difference(same, matrix.losses(workdir)) < 1e-3


def test_one_interrupted_process_stops_both_after_saving(matrix, output):
    workdir = output / "interrupted"
    processes = matrix.start(workdir, 2, 1, "--config.student.num_epochs=400")
    try:
        while not list((workdir / "student" / "last").glob("[0-9]*")):
            assert processes[0].poll() is None
            time.sleep(0.1)
        processes[1].send_signal(signal.SIGTERM)
        assert [process.wait(120) for process in processes] == [130, 130]
    finally:
        for process in processes:
            process.kill()
    saved = re.findall(r"student: saved at step (\d+)", (workdir / "train.log").read_text())
    assert (workdir / "student" / "last" / saved[-1]).is_dir()
