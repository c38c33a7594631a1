"""What is on disk of an output at each moment, and who may go on with it."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fakd_jax.errors import UserError
from fakd_jax.prediction import unfinished as module
from fakd_jax.prediction.formats import row_format
from fakd_jax.prediction.rows import Tally
from fakd_jax.prediction.unfinished import (
    Position,
    UnfinishedOutput,
    hidden_folder,
    open_unfinished,
)

SETTINGS = {"network": {"weights": "ab"}, "inputs": ["scans"]}


@contextmanager
def opened(
    output: Path, settings: dict[str, Any] = SETTINGS, *, restart: bool = False
) -> Iterator[UnfinishedOutput]:
    with open_unfinished(
        output,
        settings,
        header=b"header\n",
        begin=lambda folder: (folder / "list").touch(),
        restart=restart,
    ) as unfinished:
        yield unfinished


def copy(rows: Path, output: Path) -> None:
    shutil.copyfile(rows, output)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "new" / "out.csv"


def test_an_output_appears_when_it_is_published_and_nothing_is_left_beside_it(output: Path) -> None:
    with opened(output) as unfinished:
        assert unfinished.start == Position(size=7)
        unfinished.append(b"1\n", 1, 0, Tally(rows=1))
        assert not output.exists()
        unfinished.publish(copy)
    assert output.read_bytes() == b"header\n1\n"
    assert [*output.parent.iterdir()] == [output]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_an_output_that_cannot_be_put_in_place_keeps_its_rows(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / f"out{suffix}"
    finish, replace = row_format(output, ("a", "b")).finish, os.replace

    def refuse(source: Path, target: Path) -> None:
        if target == output:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as full:
        full.setattr(os, "replace", refuse)
        with opened(output) as unfinished:
            unfinished.append(b"1\n", 1, 0, Tally(rows=1))
            with pytest.raises(UserError, match="No space left"):
                unfinished.publish(finish)
    assert not output.exists()
    with opened(output) as unfinished:
        assert unfinished.start.file == 1
        unfinished.publish(finish)
    assert output.read_bytes() == b"header\n1\n"
    assert [*output.parent.iterdir()] == [output]


def test_a_finished_file_of_its_own_leaves_nothing_either(output: Path) -> None:
    with opened(output) as unfinished:
        unfinished.append(b"1\n", 1, 0, Tally(rows=1))
        unfinished.publish(lambda rows, finished: finished.write_bytes(rows.read_bytes() * 2))
    assert output.read_bytes() == b"header\n1\n" * 2
    assert [*output.parent.iterdir()] == [output]


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_an_interrupted_block_keeps_every_row(
    output: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(module, "COMMIT_SECONDS", seconds)

    def interrupted() -> None:
        with opened(output) as unfinished:
            unfinished.append(b"1\n", 1, 0, Tally(rows=1))
            unfinished.append(b"22\n", 1, 4, Tally(rows=2, errors=1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with opened(output) as unfinished:
        assert unfinished.start == Position(1, 4, 12, Tally(rows=2, errors=1))
        unfinished.append(b"3\n", 2, 0, Tally(rows=3, errors=1))
        unfinished.publish(copy)
    assert output.read_bytes() == b"header\n1\n22\n3\n"


@pytest.mark.parametrize("more", [b"2\n", b""])
def test_rows_beyond_the_position_are_cut_off(output: Path, more: bytes) -> None:
    with opened(output) as unfinished:
        unfinished.append(b"1\n", 1, 0, Tally(rows=1))
    rows = hidden_folder(output) / "rows"
    rows.write_bytes(rows.read_bytes() + b"2,torn")  # killed before the position was written
    with opened(output) as unfinished:
        unfinished.append(more, 2, 0, Tally(rows=2))
        unfinished.publish(copy)
    assert output.read_bytes() == b"header\n1\n" + more


def test_a_commit_that_is_interrupted_at_its_end_can_be_repeated(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(output) as unfinished:
        unfinished.append(b"1\n", 1, 0, Tally(rows=1))
        write_position = module._write_position

        def interrupt_after(folder: Path, position: Position) -> None:
            write_position(folder, position)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(module, "_write_position", interrupt_after)
            with pytest.raises(KeyboardInterrupt):
                unfinished.commit()
        unfinished.publish(copy)
    assert output.read_bytes() == b"header\n1\n"


def test_other_settings_are_refused_unless_all_is_begun_anew(output: Path) -> None:
    with opened(output) as unfinished:
        unfinished.append(b"1\n", 1, 0, Tally(rows=1_234))
    other = {**SETTINGS, "network": {"weights": "cd"}}
    expected = r'unfinished, with 1,234 rows by other settings \(network\.weights: "ab", now "cd"\)'
    with pytest.raises(UserError, match=expected), opened(output, other):
        pass
    with opened(output) as unfinished:
        assert unfinished.start.file == 1
    with opened(output, other, restart=True) as unfinished:
        assert unfinished.start == Position(size=7)


def test_one_process_at_a_time(output: Path) -> None:
    with opened(output):
        with pytest.raises(UserError, match="another process is writing"), opened(output):
            pass
        assert hidden_folder(output).is_dir()


@pytest.mark.parametrize("damage", ["settings.json", "position.json", "rows", "shape"])
def test_what_is_damaged_is_refused(output: Path, damage: str) -> None:
    with opened(output) as unfinished:
        unfinished.append(b"1\n", 1, 0, Tally(rows=1))
    folder = hidden_folder(output)
    if damage == "shape":
        stored = json.loads((folder / "position.json").read_text())
        (folder / "position.json").write_text(json.dumps(stored | {"file": "1"}))
    else:
        (folder / damage).write_bytes(b"{")
    with pytest.raises(UserError, match=r"is damaged .*; give --restart"), opened(output):
        pass
    with opened(output, restart=True) as unfinished:
        unfinished.publish(copy)
    assert output.read_bytes() == b"header\n"


def test_a_beginning_that_fails_leaves_nothing(output: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "archives").mkdir()
        raise UserError("no image")

    def begin() -> None:
        with open_unfinished(output, {}, header=b"", begin=fail, restart=False):
            raise AssertionError

    with pytest.raises(UserError, match="no image"):
        begin()
    assert not [*output.parent.iterdir()]


def test_an_incomplete_beginning_is_begun_again(output: Path) -> None:
    with opened(output) as unfinished:
        unfinished.append(b"1\n", 1, 0, Tally(rows=1))
    (hidden_folder(output) / "settings.json").unlink()
    with opened(output) as unfinished:
        assert unfinished.start == Position(size=7)
    shutil.rmtree(hidden_folder(output))


def test_a_full_disk_is_an_error_and_the_rows_before_it_stay(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: Any) -> None:
        raise OSError(28, "No space left on device")

    with opened(output) as unfinished:
        unfinished.append(b"1\n", 1, 0, Tally(rows=1))
        unfinished.commit()
        unfinished.append(b"2\n", 2, 0, Tally(rows=2))
        with monkeypatch.context() as patch:
            patch.setattr(module, "sync_file", full)
            with pytest.raises(UserError, match=r"No space left.*the same command then goes on"):
                unfinished.commit()
        stored = json.loads((hidden_folder(output) / "position.json").read_text())
        assert stored["file"] == 1
    with opened(output) as unfinished:
        assert unfinished.start.file == 2
