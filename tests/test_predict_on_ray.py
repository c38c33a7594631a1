"""`fakd predict --engine ray` with a real Ray: the same table, whatever is killed."""

from __future__ import annotations

import csv
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakd_jax.prediction.blocks import BATCHES_PER_TASK
from fakd_jax.prediction.unfinished import hidden_folder
from tests.ray_workers import computing_workers, kill_a_computing_worker
from tests.tiny import CLASS_NAMES, save_tiny_checkpoint, write_image

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parent.parent
FILES, DIFFERENT, BROKEN = 600, 40, 123
BATCH_SIZE = 4
WHOLE_TASKS = 19  # whose rows are written before anything is killed
HELD_FROM = WHOLE_TASKS * BATCHES_PER_TASK * BATCH_SIZE + 5
WAIT_SECONDS = 900

# Imported by the command and by the workers. While the file `hold` is there, nothing from
# `HELD_FROM` on is read: what is killed then is killed midway, on a machine of any speed.
OWN_MODULE = f"""
import os, signal, time
from pathlib import Path
import tests.tiny
from fakd_jax.prediction import reading, unfinished
from fakd_jax.runtime import ray_mapping

tests.tiny.register_tiny_models()
unfinished.COMMIT_SECONDS = 0.0
ray_mapping.MAX_LOST_WORKERS = 3
folder, read_chunk = Path(__file__).parent, reading.read_chunk

def read_unless_held(reader, listed, start):
    while listed.number >= {HELD_FROM} and (folder / "hold").exists():
        time.sleep(0.01)
    if listed.number == {HELD_FROM} and (folder / "deadly").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return read_chunk(reader, listed, start)

reading.read_chunk = read_unless_held
"""


class Workplace:
    """A folder in which the command runs, with files to predict and a module of one's own.

    Args:
      folder: the working directory, which is not that of Ray's workers.
      environment: of the command.

    Attributes:
      folder: see above.
      hold: where this file is, all processes wait before half of the files are read.
      deadly: where this file is, reading a file in the middle kills the process that does.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self._environment = folder, environment
        self.hold, self.deadly = folder / "hold", folder / "deadly"
        save_tiny_checkpoint(folder / "run", head_scale=300)
        (folder / "own_networks.py").write_text(OWN_MODULE)
        (folder / "scans").mkdir()
        for number in range(DIFFERENT):
            write_image(folder / "drawn" / f"{number}.png", number)
        for number in range(FILES):
            scan = folder / "scans" / f"{number:04}.png"
            if number == BROKEN:
                scan.write_text("no image")
            else:
                os.link(folder / "drawn" / f"{number % DIFFERENT}.png", scan)

    @contextmanager
    def start(
        self, name: str, *flags: str, module: str = "own_networks"
    ) -> Iterator[subprocess.Popen[str]]:
        """Starts the command, with its log in a file; kills it if it outlives the block."""
        command = [sys.executable, "-m", "fakd_jax", "predict", "--import", module]
        command += ["--checkpoint=run", "scans", f"--output={name}.csv"]
        with (
            self.log(name).open("w") as log,
            subprocess.Popen(
                [*command, f"--batch-size={BATCH_SIZE}", *flags],
                cwd=self.folder,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()
                self.hold.unlink(missing_ok=True)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def output(self, name: str) -> Path:
        return self.folder / f"{name}.csv"

    def rows_written(self, name: str) -> int:
        """The rows of an unfinished output that are on disk."""
        position = hidden_folder(self.output(name)) / "position.json"
        return json.loads(position.read_text())["tally"]["rows"] if position.is_file() else 0

    def finish(self, name: str, *flags: str, module: str = "own_networks") -> int:
        """Runs the command to its end, and returns its exit code."""
        with self.start(name, *flags, module=module) as process:
            code = process.wait(WAIT_SECONDS)
        print(self.log(name).read_text())
        return code

    def wait_until_held(self, name: str, process: subprocess.Popen[str]) -> None:
        """Waits until the rows of all whole tasks before the held files are written."""
        rows = WHOLE_TASKS * BATCHES_PER_TASK * BATCH_SIZE
        wait_for(lambda: self.rows_written(name) == rows, process, self.log(name))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """With this code, a token for these tests' own Ray, and no other cluster."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(secrets.token_hex(32))
    here = {
        "PYTHONPATH": str(REPOSITORY),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
    }
    return {name: value for name, value in os.environ.items() if name[:4] != "RAY_"} | here


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], log: Path) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)


@pytest.fixture(scope="module", autouse=True)
def _ray() -> None:
    pytest.importorskip("ray")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Workplace:
    return Workplace(tmp_path_factory.mktemp("work"), environment)


@pytest.fixture(scope="module")
def whole(workplace: Workplace) -> bytes:
    """The table that this process's own machine writes without Ray."""
    assert workplace.finish("whole") == 0
    return workplace.output("whole").read_bytes()


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> Iterator[tuple[str, int]]:
    """Address and process of a Ray with two workers, in a folder of its own."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    log = elsewhere / "log"
    sockets = tempfile.mkdtemp(prefix="ray")  # their paths must be short
    command = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--port=0"]
    command += ["--num-cpus=2", "--include-dashboard=false", f"--temp-dir={sockets}"]
    with (
        log.open("w") as lines,
        subprocess.Popen(
            command,
            cwd=elsewhere,
            env=environment,
            stdout=lines,
            stderr=subprocess.STDOUT,
            text=True,
        ) as head,
    ):
        try:
            wait_for(lambda: "--address=" in log.read_text(), head, log)
            (address,) = set(re.findall(r"--address='([\d.]+:\d+)'", log.read_text()))
            yield address, head.pid
        finally:
            head.terminate()
            head.wait(60)
            shutil.rmtree(sockets, ignore_errors=True)


def test_the_table_without_ray_has_a_row_per_file(workplace: Workplace, whole: bytes) -> None:
    rows = [*csv.DictReader(whole.decode().splitlines())]
    assert [row["path"] for row in rows] == [f"scans/{number:04}.png" for number in range(FILES)]
    assert [number for number, row in enumerate(rows) if row["error"]] == [BROKEN]
    assert len({row[f"p_{CLASS_NAMES[0]}"] for row in rows}) == DIFFERENT + 1


def test_with_one_of_two_workers_killed_the_table_is_the_same(
    workplace: Workplace, whole: bytes, cluster: tuple[str, int]
) -> None:
    address, head = cluster
    workplace.hold.touch()
    with workplace.start("killed", "--engine=ray", f"--ray-address={address}") as process:
        workplace.wait_until_held("killed", process)
        wait_for(lambda: kill_a_computing_worker(head), process, workplace.log("killed"))
        workplace.hold.unlink()
        code = process.wait(WAIT_SECONDS)
    log = workplace.log("killed").read_text()
    print(log)
    assert code == 0
    assert "machines in Ray: 1, with CPUs: 2" in log
    assert log.count("Ray: a worker was lost") == 1
    assert workplace.output("killed").read_bytes() == whole


def test_killed_on_ray_the_command_goes_on_with_ray_or_without(
    workplace: Workplace, whole: bytes
) -> None:
    workplace.hold.touch()
    with workplace.start("driver", "--engine=ray") as process:
        workplace.wait_until_held("driver", process)
        workers = [*computing_workers(process.pid)]
        process.kill()
        process.wait()
        assert workers
        wait_for_end(workers)
    assert not workplace.output("driver").exists()
    unfinished = hidden_folder(workplace.output("driver"))
    shutil.copytree(unfinished, hidden_folder(workplace.output("without")))
    for name, flags in (("driver", ["--engine=ray"]), ("without", [])):
        assert workplace.finish(name, *flags) == 0
        log = workplace.log(name).read_text()
        assert f"{WHOLE_TASKS * BATCHES_PER_TASK * BATCH_SIZE} rows were written before" in log
        assert workplace.output(name).read_bytes() == whole


def wait_for_end(pids: list[int]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while alive := [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.1)


def is_alive(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_file_that_kills_every_worker_is_one_line_and_loses_nothing(
    workplace: Workplace, whole: bytes, cluster: tuple[str, int]
) -> None:
    flags = ("--engine=ray", f"--ray-address={cluster[0]}")
    workplace.deadly.touch()
    assert workplace.finish("deadly", *flags) == 2
    log = workplace.log("deadly").read_text()
    assert log.count("Ray: a worker was lost") == 2
    last = log.splitlines()[-1]
    assert last.startswith("error: 3 workers were lost with one task")
    assert "--engine local" in last
    assert workplace.rows_written("deadly") == WHOLE_TASKS * BATCHES_PER_TASK * BATCH_SIZE
    workplace.deadly.unlink()
    assert workplace.finish("deadly", *flags) == 0
    assert workplace.output("deadly").read_bytes() == whole


def test_a_module_that_workers_cannot_import_is_one_line(
    workplace: Workplace, cluster: tuple[str, int]
) -> None:
    module = workplace.folder / "only_here.py"
    module.write_text(
        "import os\n"
        "from own_networks import *\n"
        f"assert os.getcwd() == {str(workplace.folder)!r}, 'another folder'\n"
    )
    flags = ("--engine=ray", f"--ray-address={cluster[0]}")
    assert workplace.finish("refused", *flags, module="only_here") == 2
    last = workplace.log("refused").read_text().splitlines()[-1]
    assert "--import only_here fails (AssertionError: another folder)" in last
    assert last.startswith("error: on Ray's machine ")
    assert str(workplace.folder) in last


def test_a_cluster_that_asks_for_a_token_is_one_line(
    workplace: Workplace, cluster: tuple[str, int], environment: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "fakd_jax", "predict", "--checkpoint=run", "scans"]
    command += ["--output=closed.csv", "--engine=ray", f"--ray-address={cluster[0]}"]
    closed = environment | {"RAY_AUTH_MODE": "disabled"}
    refused = subprocess.run(
        command, cwd=workplace.folder, env=closed, capture_output=True, text=True, check=False
    )
    print(refused.stderr)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    last = refused.stderr.splitlines()[-1]  # after warnings that Ray prints itself
    assert last.startswith(f"error: cannot connect to Ray at {cluster[0]} (")
    assert "RAY_AUTH_MODE=token" in last
    assert not hidden_folder(workplace.output("closed")).exists()
