"""Every fuzzing target: its own seeds, and some mutations of them, as Hypothesis chooses."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakd_jax.errors import UserError

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
TARGETS = ("images", "archives", "json_files", "weights", "configs", "commands")


@pytest.fixture(scope="module")
def target(request: pytest.FixtureRequest) -> Any:
    sys.path.insert(0, str(SCRIPTS))
    yield importlib.import_module(f"fuzzing.{request.param}")
    sys.path.remove(str(SCRIPTS))


@pytest.mark.parametrize("target", ["images", "archives", "weights"], indirect=True)
def test_seeds_and_mutated_seeds_are_read_or_refused(target: ModuleType) -> None:
    seeds = target.seeds()
    for seed in seeds:
        target.check(seed)

    @given(st.sampled_from(seeds), st.floats(0, 1), st.binary(max_size=4), st.booleans())
    def mutated(seed: bytes, place: float, inserted: bytes, cut: bool) -> None:
        start = int(place * len(seed))
        rest = b"" if cut else seed[start + len(inserted) :]
        target.check(seed[:start] + inserted + rest)

    mutated()


@pytest.mark.parametrize("target", ["json_files"], indirect=True)
@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_keys_dropped_or_of_another_type_are_a_user_error(target: ModuleType, every: int) -> None:
    for name, (content, _) in target.READERS.items():
        values = target.REPLACEMENTS if isinstance(content, str) else target.damaged(content)
        for value in [content, *values][::every]:
            target.read(name, target.as_bytes(name, value))
        target.read(name, b"[" * 100_000)  # deeper than Python's recursion
        target.read(name, b'{"a":' * 100_000)


@pytest.mark.parametrize("target", ["json_files"], indirect=True)
def test_the_files_that_are_damaged_were_valid(target: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    for name, (content, reader) in target.READERS.items():
        if name not in ("config.json", "prepared.json"):  # of another run; without its records
            (tmp_path / name).write_bytes(target.as_bytes(name, content))
            reader(tmp_path / name)
            (tmp_path / name).unlink()


@pytest.mark.parametrize("target", ["configs"], indirect=True)
def test_config_files_fail_in_one_line(target: ModuleType) -> None:
    for body in target.BODIES:
        target.parse_file(body.encode())
    for key in target.KEYS[::8]:
        for value in target.VALUES:
            target.parse_value(key, value)


@pytest.mark.parametrize("target", ["configs"], indirect=True)
@pytest.mark.slow
def test_every_key_of_every_type(target: ModuleType) -> None:
    for key in target.KEYS:
        for value in target.VALUES:
            target.parse_value(key, value)
        for text in target.TEXTS:
            target.parse_flags("fakd", [f"--config.{key}={text}"])


@pytest.mark.parametrize("target", ["commands"], indirect=True)
def test_command_lines_end_with_an_exit_code(target: ModuleType) -> None:
    @given(target.command_lines())
    def lines(argv: list[str]) -> None:
        target.run(argv)

    lines()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs the extra `fuzz`")
@pytest.mark.parametrize("name", TARGETS)
def test_the_fuzzer_runs_and_finds_nothing(tmp_path: Path, name: str) -> None:
    command = [sys.executable, SCRIPTS / "fuzz.py", name, "--runs=300", f"--output={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"{name}: 3\d\d runs in \d+ s, 0 findings", done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs the extra `fuzz`")
def test_a_finding_is_kept_and_reported(tmp_path: Path) -> None:
    broken = "import fuzzing.images, runpy, sys\n"
    broken += "fuzzing.images.check = lambda data: 1 / 0\n"
    broken += f"sys.argv = ['fuzz.py', 'images', '--runs=5', '--output={tmp_path}', '--inside']\n"
    broken += f"__import__('pathlib').Path({str(tmp_path)!r}, 'findings').mkdir(exist_ok=True)\n"
    broken += f"runpy.run_path({str(SCRIPTS / 'fuzz.py')!r}, run_name='__main__')\n"
    command = [sys.executable, "-c", broken]
    env = {"PYTHONPATH": f"{SCRIPTS}:{SCRIPTS.parent}", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert "FINDING ZeroDivisionError" in done.stderr
    assert [path.name for path in (tmp_path / "findings").iterdir()] == ["1-ZeroDivisionError"]


@pytest.mark.parametrize("target", ["weights"], indirect=True)
def test_the_code_in_the_pickles_would_run_elsewhere_but_not_here(
    target: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "MARKER", tmp_path / "marker")
    for evil in target.evil_objects():
        pickled = pickle.dumps({"a": evil}, protocol=2)
        pickle.loads(pickled)
        assert target.MARKER.exists()
        target.MARKER.unlink()
        for content in (pickled, target.torch_archive(pickled)):
            target.check(b"\1" + content)  # asserts that there is no marker
            (tmp_path / "w.pth").write_bytes(content)
            with pytest.raises(UserError):
                target.read_state_dict(tmp_path / "w.pth")
        assert not target.MARKER.exists()


@pytest.mark.parametrize("target", ["weights"], indirect=True)
def test_code_that_a_careless_reader_runs_is_a_finding(
    target: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch, "load", lambda path, **_: pickle.loads(path.read_bytes()))
    with pytest.raises(AssertionError, match="ran code"):
        target.check(b"\1" + pickle.dumps({"a": target.evil_objects()[0]}, protocol=2))
    target.check(b"\1" + pickle.dumps({"a": 1}, protocol=2))  # nothing is left of it


def test_what_the_seeds_import_is_instrumented(
    load_script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    script = load_script("fuzz")
    instrumenting = []

    @contextlib.contextmanager
    def instrument_imports(include: list[str]) -> Iterator[None]:
        instrumenting.append(include)
        yield
        instrumenting.clear()

    def seeds() -> list[bytes]:
        assert instrumenting
        return [b"a seed"]

    atheris = SimpleNamespace(
        instrument_imports=instrument_imports, Setup=lambda *_: None, Fuzz=lambda: None
    )
    monkeypatch.setattr(script, "import_extra", lambda *_: atheris)
    monkeypatch.setitem(sys.modules, "fuzzing.images", SimpleNamespace(seeds=seeds))
    (tmp_path / "findings").mkdir()
    script._fuzz(SimpleNamespace(target="images", output=tmp_path, runs=1, seconds=1, seed=1))
    assert (tmp_path / "corpus" / "seed-0").read_bytes() == b"a seed"
