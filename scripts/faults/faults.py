"""The faults: what strikes a run, how its cause is mended, and how many of 300 are of each kind."""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import fakd_jax.training.batches
from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.runs.files import (
    CONFIG_FILE,
    ENVIRONMENT_FILE,
    LOCK_FILE,
    PHASES,
    RECORDS_FILE,
    SPLIT_FILE,
)
from scripts.faults.lab import Action, Lab, newest

DAC_CAPABILITIES = 0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


def _struck(
    lab: Lab,
    draw: np.random.Generator,
    action: Callable[[Path, int], None],
    *,
    at_write: bool,
    mend: Callable[[Path], None] = lambda workdir: None,
    workdir: Path | None = None,
    prepare: Action | None = None,
) -> tuple[str, str]:
    """A fault that strikes a running process: at a random time, or at one of its writes."""
    workdir = workdir or lab.workdir()
    note, passed = (lab.folder / f"{workdir.name}.{word}" for word in ("struck", "passed"))

    def strike(pid: int | None = None) -> None:
        note.write_text(json.dumps(newest(workdir)))
        action(workdir, pid or os.getpid())

    if at_write:
        number = int(draw.integers(1, lab.writes))
        process, output = lab.start(workdir, strikes=[(number, strike)], prepare=prepare)
        when = f"at write {number}"
    else:
        number, delay = moment(lab.moments, draw)
        process, output = lab.start(workdir, strikes=[(number, passed.touch)], prepare=prepare)
        while number and process.is_alive() and not passed.exists():
            time.sleep(0.002)
        process.join(delay)
        when = f"{delay:.2f} s after write {number}"
        if process.is_alive():
            strike(process.pid)
    end = lab.end(process, output)
    had = json.loads(note.read_text()) if note.exists() else None
    result, seen = lab.finish(workdir, end, lambda: mend(workdir), had or {})
    mend(workdir)
    shutil.rmtree(workdir, ignore_errors=True)
    if had is None and result != "failed":
        return "missed", when
    return result, f"{when}: {seen}"


def moment(moments: Sequence[float], draw: np.random.Generator) -> tuple[int, float]:
    """A random time of the undisturbed run, as the number of the write before it and seconds since.

    Under another load a run reaches that write, too, but at another time.
    """
    drawn = draw.uniform(0, moments[-1])
    number = int(np.searchsorted(moments, drawn, side="right")) - 1
    return number, float(drawn - moments[number])


def kill(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    return _struck(lab, draw, lambda _, pid: os.kill(pid, signal.SIGKILL), at_write=False)


def kill_at_write(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    return _struck(lab, draw, lambda _, pid: os.kill(pid, signal.SIGKILL), at_write=True)


def terminate(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    at_write = draw.random() < 0.5
    return _struck(lab, draw, lambda _, pid: os.kill(pid, signal.SIGTERM), at_write=at_write)


def fill_disk(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    assert lab.disk is not None
    ballast = lab.disk / "ballast"

    def fill(workdir: Path, pid: int) -> None:
        descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT, 0o644)
        for size in (2**20, 2**12, 1):
            with suppress(OSError):
                while os.write(descriptor, b"\0" * size):
                    pass
        os.close(descriptor)

    return _struck(
        lab,
        draw,
        fill,
        at_write=draw.random() < 0.5,
        mend=lambda workdir: ballast.unlink(missing_ok=True),
        workdir=lab.workdir(lab.disk),
    )


def make_read_only(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    def protect(workdir: Path, pid: int) -> None:
        _set_modes(workdir, folders=0o555, files=0o444)

    return _struck(
        lab,
        draw,
        protect,
        at_write=draw.random() < 0.5,
        mend=lambda workdir: _set_modes(workdir, folders=0o755, files=0o644),
        prepare=_obey_permissions,
    )


def move_away(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    def elsewhere(workdir: Path) -> Path:
        return workdir.with_name(f"{workdir.name}.moved")

    def move(workdir: Path, pid: int) -> None:
        with suppress(FileNotFoundError):
            workdir.rename(elsewhere(workdir))

    def put_back(workdir: Path) -> None:
        if elsewhere(workdir).exists():
            shutil.rmtree(workdir, ignore_errors=True)
            elsewhere(workdir).rename(workdir)

    return _struck(lab, draw, move, at_write=draw.random() < 0.5, mend=put_back)


def _damaged(
    lab: Lab,
    draw: np.random.Generator,
    damage: Callable[[bytes], bytes],
    files: Callable[[Path], list[Path]],
) -> tuple[str, str]:
    """A fault in a file that a killed run left."""
    workdir = lab.workdir()
    number = int(draw.integers(1, lab.writes))
    lab.run(workdir, strikes=[(number, lambda: os.kill(os.getpid(), signal.SIGKILL))])
    found = [file for file in sorted(files(workdir)) if file.is_file() and file.stat().st_size]
    if not found:
        return "missed", f"no file at write {number}"
    file = found[draw.integers(len(found))]
    whole = file.read_bytes()
    had = newest(workdir)
    file.write_bytes(damage(whole))

    def mend() -> None:
        if file.parent.is_dir():
            file.write_bytes(whole)

    result, seen = lab.finish(workdir, lab.run(workdir), mend, had)
    name = file.relative_to(workdir)
    shutil.rmtree(workdir)
    return result, f"{name} after write {number}: {seen}"


def _truncation(draw: np.random.Generator) -> Callable[[bytes], bytes]:
    return lambda whole: whole[: draw.integers(len(whole))]


def _flip(draw: np.random.Generator) -> Callable[[bytes], bytes]:
    def flip(whole: bytes) -> bytes:
        changed = bytearray(whole)
        changed[draw.integers(len(whole))] ^= 1 << int(draw.integers(8))
        return bytes(changed)

    return flip


def _checkpoint_files(workdir: Path) -> list[Path]:
    return [file for phase in PHASES for file in (workdir / phase).glob("*/[0-9]*/**/*")]


def _records(workdir: Path) -> list[Path]:
    names = (CONFIG_FILE, SPLIT_FILE, ENVIRONMENT_FILE, RECORDS_FILE)
    return [workdir / name for name in names]


def truncate(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    return _damaged(lab, draw, _truncation(draw), _checkpoint_files)


def truncate_record(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    return _damaged(lab, draw, _truncation(draw), _records)


def flip_bit(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    return _damaged(lab, draw, _flip(draw), _checkpoint_files)


def flip_record(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    return _damaged(lab, draw, _flip(draw), _records)


def put_nan(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    number = int(draw.integers(1, 9))
    workdir = lab.workdir()
    count = itertools.count(1)
    original = fakd_jax.training.batches.train_iterator

    class WithNan:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._iterator = original(*args, **kwargs)

        def __next__(self) -> dict[str, np.ndarray]:
            batch = next(self._iterator)
            if next(count) != number:
                return batch
            images = batch["image"].astype(np.float32)
            images[0] = np.nan
            return {**batch, "image": images}

        def __getattr__(self, name: str) -> Any:
            return getattr(self._iterator, name)

    inputs = Preprocessing.inputs

    def keep_nan(preprocessing: Preprocessing, images: Any) -> Any:
        """The inputs of images, which are of bytes otherwise, but with the NaN in them."""
        if images.dtype == np.uint8:
            return inputs(preprocessing, images)
        return inputs(preprocessing, images.astype(np.uint8)) + 0 * images

    def prepare() -> None:  # in the forked process alone
        fakd_jax.training.batches.train_iterator = WithNan
        Preprocessing.inputs = keep_nan

    end = lab.run(workdir, prepare=prepare)
    if end.code == 0:
        return "failed", f"a NaN in batch {number} went unnoticed"
    result, seen = lab.finish(workdir, end, lambda: None, {})
    shutil.rmtree(workdir)
    return result, f"batch {number}: {seen}"


def start_twice(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    workdir = lab.workdir()
    process, output = lab.start(workdir)
    while process.is_alive() and not (workdir / LOCK_FILE).exists():
        time.sleep(0.01)
    delay = float(draw.uniform(0.1, 0.5 * lab.seconds))
    process.join(delay)
    second = lab.run(workdir)
    was_alive = process.is_alive()
    first = lab.end(process, output)
    shutil.rmtree(workdir)
    when = f"after {delay:.2f} s"
    if first.code != 0:
        return "failed", f"{when}: the first ended with {first.code}: {first.output[-1500:]}"
    if second.code == 0 and not was_alive:
        return "missed", when
    if not second.is_clear_stop:
        return "failed", f"{when}: the second ended with {second.code}: {second.output[-1500:]}"
    return "equal", f"{when}: the second was refused"


def set_clock_back(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    workdir = lab.workdir()
    first, second = sorted(int(number) for number in draw.integers(1, lab.writes, size=2))
    seconds = float(10 ** draw.uniform(3, 8.5))

    def set_back(seconds: float) -> None:
        now, now_ns = time.time, time.time_ns
        time.time = lambda: now() - seconds
        time.time_ns = lambda: now_ns() - int(seconds * 1e9)

    strikes = [
        (first, lambda: set_back(seconds)),
        (second + 1, lambda: os.kill(os.getpid(), signal.SIGKILL)),
    ]
    end = lab.run(workdir, strikes=strikes)
    if end.code == -signal.SIGKILL:
        end = lab.run(workdir, prepare=lambda: set_back(2 * seconds))
    result, seen = lab.finish(workdir, end, lambda: None, {})
    shutil.rmtree(workdir)
    return result, f"by {seconds:.0f} s at write {first}, killed at {second + 1}: {seen}"


def _obey_permissions() -> None:
    """Has permissions hold for this process, even if root runs it."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32 bits
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    sets[0] &= ~DAC_CAPABILITIES
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def _set_modes(folder: Path, *, folders: int, files: int) -> None:
    if folder.is_dir():
        folder.chmod(0o755)
        for child in list(folder.iterdir()):
            with suppress(FileNotFoundError):
                if child.is_dir():
                    _set_modes(child, folders=folders, files=files)
                else:
                    child.chmod(files)
        folder.chmod(folders)


FAULTS: dict[str, tuple[Callable[[Lab, np.random.Generator], tuple[str, str]], int]] = {
    "SIGKILL while a file is written": (kill_at_write, 100),
    "SIGKILL at a random time": (kill, 40),
    "SIGTERM": (terminate, 30),
    "full disk": (fill_disk, 25),
    "read-only workdir": (make_read_only, 25),
    "vanished workdir": (move_away, 20),
    "truncated checkpoint file": (truncate, 15),
    "flipped bit in a checkpoint": (flip_bit, 15),
    "truncated record": (truncate_record, 5),
    "flipped bit in a record": (flip_record, 5),
    "NaN in a batch": (put_nan, 10),
    "second process": (start_twice, 5),
    "clock set back": (set_clock_back, 5),
}
"""Faults by name, and how many of 300 are of each."""
