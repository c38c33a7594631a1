"""Trains a tiny FAKD on several numbers of devices and processes, and compares the losses.

    python scripts/process_matrix.py --output DIR

Then each of two processes is killed, and the run goes on with one process on two devices.
This file is also the config of the runs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MATRIX = ((1, 1), (1, 2), (1, 8), (2, 1), (2, 4))  # processes, devices of each
TERMS = ("loss", "ce", "kd", "fa")
TIMEOUT_S = 1800.0
LOST_WITHIN_S = 60.0


def get_config(variant: str = "") -> Any:
    """FAKD with tiny networks on a few phantoms; registers the networks."""
    from fakd_jax.configs import fakd
    from fakd_jax.models import mobilenet_v3, register, resnet

    settings = mobilenet_v3.MOBILENET_V3_LARGE_SETTINGS[:5]
    register("matrix_teacher")(
        lambda **options: resnet.ResNet(stage_sizes=(1, 1, 1, 1), width=8, **options)
    )
    register("matrix_student")(
        lambda **options: mobilenet_v3.MobileNetV3(settings=settings, last_channel=32, **options)
    )
    config = fakd.get_config("phantom")
    config.update_from_flattened_dict(
        {
            "batch_size": 8,
            "eval_batch_size": 8,
            "data.image_size": 32,
            "data.phantom.train_per_class": 10,
            "data.phantom.test_per_class": 2,
            "teacher.arch": "matrix_teacher",
            "teacher.num_epochs": 2,
            "student.arch": "matrix_student",
            "student.num_epochs": 2,
            "distillation.student_layer": "features.6",
            "optimizer.learning_rate": 1e-4,
        }
    )
    return config


def start(workdir: Path, processes: int, devices: int, *more: str) -> list[subprocess.Popen[str]]:
    """Starts the processes of a job; their output goes to `workdir/process-<number>.txt`."""
    workdir.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    job = ["--coordinator-address", address, "--num-processes", str(processes), "--process-id"]
    started = []
    for process in range(processes):
        command = [sys.executable, "-m", "fakd_jax.train", "--config", __file__, "--platform=cpu"]
        command += ["--workdir", str(workdir), f"--config.data.cache_dir={workdir.parent / 'data'}"]
        command += more + ((*job, str(process)) if processes > 1 else ())
        with (workdir / f"process-{process}.txt").open("w") as output:
            started.append(
                subprocess.Popen(
                    command,
                    env=os.environ | {"JAX_NUM_CPU_DEVICES": str(devices)},
                    stdout=subprocess.DEVNULL,
                    stderr=output,
                    text=True,
                )
            )
    return started


def run(workdir: Path, processes: int, devices: int, *more: str) -> None:
    """Runs a job to its end.

    Raises:
      RuntimeError: a process fails.
    """
    started = start(workdir, processes, devices, *more)
    codes = [process.wait(TIMEOUT_S) for process in started]
    if any(codes):
        raise RuntimeError(f"exit codes {codes}; see {workdir}")


def losses(workdir: Path) -> dict[tuple[str, str, int, str], float]:
    """Every loss and term of a run, by phase, kind and epoch."""
    records = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return {
        (record["phase"], record["kind"], record["epoch"], term): record[term]
        for record in records
        for term in TERMS
        if term in record
    }


def largest_difference(first: dict[Any, float], second: dict[Any, float]) -> float:
    """The largest relative difference between two runs' losses."""
    if first.keys() != second.keys():
        raise ValueError("the runs have other records")
    return max(abs(first[key] - second[key]) / abs(first[key]) for key in first)


def kill_one(workdir: Path, victim: int) -> tuple[float, int, str]:
    """Kills one of two processes after the first checkpoint of the student.

    Returns:
      Seconds until the other has ended, its exit code, and the last line it printed.
    """
    processes = start(workdir, 2, 1, "--config.student.num_epochs=400")
    survivor = processes[1 - victim]
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while not list((workdir / "student" / "last").glob("[0-9]*")):
            if time.monotonic() > deadline or survivor.poll() is not None:
                raise RuntimeError(f"no checkpoint of the student; see {workdir}")
            time.sleep(0.1)
        processes[victim].send_signal(signal.SIGKILL)
        killed = time.monotonic()
        code = survivor.wait(2 * LOST_WITHIN_S)
        seconds = time.monotonic() - killed
    finally:
        for process in processes:
            process.kill()
            process.wait()
    printed = (workdir / f"process-{1 - victim}.txt").read_text().replace("\r", "\n").strip()
    return seconds, code, printed.splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="a new folder")
    output = parser.parse_args().output.absolute()
    print("processes  devices of each  largest relative difference of a loss")
    for processes, devices in MATRIX:
        workdir = output / f"{processes}x{devices}"
        run(workdir, processes, devices)
        difference = largest_difference(losses(output / "1x1"), losses(workdir))
        print(f"{processes:9}  {devices:15}  {difference:.1e}", flush=True)
    print()
    for victim in (1, 0):
        seconds, code, line = kill_one(output / f"killed-{victim}", victim)
        print(f"process {victim} of 2 killed: the other ended after {seconds:.1f} s, code {code}:")
        print(f"  {line}")
    workdir = output / "killed-0"
    log = workdir / "train.log"
    resumed = start(workdir, 1, 2, "--config.student.num_epochs=400")[0]
    while "student: resumed at step" not in log.read_text() and resumed.poll() is None:
        time.sleep(0.2)
    time.sleep(1.0)  # the signal's handler is installed right after that line
    resumed.send_signal(signal.SIGTERM)
    print(f"resumed by one process on 2 devices, then stopped: exit code {resumed.wait(TIMEOUT_S)}")
    print("  " + [text for text in log.read_text().splitlines() if "resumed" in text][-1])


if __name__ == "__main__":
    main()
