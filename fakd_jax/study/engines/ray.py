"""Runs the cells of a study as tasks of Ray, on this machine or on a cluster (extra `ray`)."""

from __future__ import annotations

import dataclasses
import functools
import os
import secrets
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from fakd_jax.cli.config_flags import load_config_module
from fakd_jax.cli.imports import import_modules
from fakd_jax.cli.runner import use_compilation_cache
from fakd_jax.errors import UserError
from fakd_jax.experiment.teacher_and_student import open_experiment_data
from fakd_jax.reporting.numbers import duration
from fakd_jax.runtime.atomic_files import remove, write_whole
from fakd_jax.runtime.precision import compute_dtype
from fakd_jax.runtime.ray import (
    LOCAL,
    MAX_LOST_WORKERS,
    connect,
    lost_worker_errors,
    machines,
    reason,
    require_version,
    result_of,
    worker_environment,
)
from fakd_jax.study.cells import Cell, Study
from fakd_jax.study.engines.cell import run_cell
from fakd_jax.study.engines.claims import Claims
from fakd_jax.study.report import time_left, write_report
from fakd_jax.study.results import failures, is_ready, read_results, unfinished
from fakd_jax.training.metric_log import LOGGER, logging_to
from fakd_jax.version import __version__

DEFAULT_CPUS = 4
POLL_SECONDS = 5.0
STOP_SECONDS = 60.0  # to save after an interrupt
VISIBLE_SECONDS = 120.0  # until a shared disk shows a file from another machine
OBJECT_STORE_BYTES = 200 * 2**20  # settings are all that it holds
SHARE_OF_GPU_MEMORY = 0.75  # JAX's own default for a whole GPU


@dataclasses.dataclass(frozen=True)
class RayOptions:
    """How a study uses Ray.

    Attributes:
      config: as given to `--config`; workers import it too, for the networks that it may register.
      address: of a cluster; "local" starts Ray on this machine.
      cpus_per_cell: None takes 4, or all of the largest machine if it has fewer.
      gpus_per_cell: may be a fraction below 1; None takes 1 if there is a GPU, else 0.
      modules: as given to `--import`; workers import them too.
    """

    config: str
    address: str = LOCAL
    cpus_per_cell: int | None = None
    gpus_per_cell: float | None = None
    modules: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Job:
    """What a worker needs besides its cell.

    Attributes:
      probe: a file in the workdir, which shows that a worker sees the same folder.
      folder: the working directory of `fakd study`, to which paths in the config may be relative.
    """

    study: Study
    config: str
    probe: Path
    folder: Path
    version: str
    modules: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Outcome:
    """How a task ended: `problem` is the message of a UserError, or ""."""

    problem: str
    seconds: float
    worker: str


class RayEngine:
    """Ray's workers; connects to a cluster, or starts Ray, when it is first needed.

    A cell is a task in a process of its own, which claims it as a local process does. A cell whose
    worker dies is given to another worker and resumes from its checkpoints. Other errors are
    reported while the other cells go on.
    """

    def __init__(self, options: RayOptions) -> None:
        self._options = options

    @functools.cached_property
    def _ray(self) -> ModuleType:
        return connect(self._options.address, "fakd study --engine ray", OBJECT_STORE_BYTES)

    @functools.cached_property
    def _resources(self) -> dict[str, Any]:
        return _resources(self._ray, self._options)

    def compute_dtype(self, name: str) -> str:
        """The precision called `name`; "auto" is that of a worker, which has the GPU.

        Raises:
          UserError: as :meth:`run`.
        """
        if name != "auto":
            return name
        task = self._ray.remote(max_calls=1, **self._resources)
        return str(result_of(self._ray, task(_compute_dtype).remote(name)))

    def run(self, study: Study) -> None:
        """Runs the unfinished cells on the workers, and reports after each.

        Raises:
          UserError: Ray is not installed or has no machine for a cell; at the end, if cells had
            errors, among them that a worker does not share the workdir or has another version of
            this package.
          KeyboardInterrupt: interrupted, after the workers have saved.
        """
        study = dataclasses.replace(study, workdir=study.workdir.absolute())
        if not unfinished(study):
            return
        try:
            with _probe(study) as probe:
                options = self._options
                job = _Job(study, options.config, probe, Path.cwd(), __version__, options.modules)
                _Scheduler(self._ray, job, self._resources).run()
        finally:
            self._ray.shutdown()


class _Scheduler:
    """Submits every cell that is ready, and handles how it ended."""

    def __init__(self, ray: ModuleType, job: _Job, resources: dict[str, Any]) -> None:
        self._ray = ray
        self._job = job
        self._study = job.study
        # A process per cell: its memory, on the GPU too, is free for the next one.
        task = ray.remote(max_retries=0, max_calls=1, **resources)
        self._run_on_worker = task(_run_on_worker)
        self._running: dict[Any, Cell] = {}
        self._problems: dict[Cell, str] = {}
        self._lost_workers: Counter[Cell] = Counter()

    def run(self) -> None:
        """Runs until no cell is left that can run."""
        try:
            while self._submit():
                ended, _ = self._ray.wait(list(self._running), timeout=POLL_SECONDS)
                for task in ended:
                    self._end(task, self._running.pop(task))
        except KeyboardInterrupt:
            self._stop()
            raise
        if self._problems:
            cell, problem = next(iter(self._problems.items()))
            raise UserError(
                f"{len(self._problems)} of {len(self._study.cells)} cells had errors, first "
                f"{cell}: {problem}; the others' results are kept: run the same command again "
                "after mending it"
            )

    def _submit(self) -> bool:
        """Submits the cells that are ready, and returns whether any is running."""
        known = self._problems.keys() | self._running.values()
        for cell in unfinished(self._study):
            if cell not in known and is_ready(self._study, cell):
                LOGGER.info("%s: given to Ray", cell)
                self._running[self._run_on_worker.remote(self._job, cell)] = cell
        return bool(self._running)

    def _end(self, task: Any, cell: Cell) -> None:
        try:
            outcome = result_of(self._ray, task)
        except lost_worker_errors(self._ray) as error:
            self._lost_workers[cell] += 1
            count, why = self._lost_workers[cell], reason(error)
            if count < MAX_LOST_WORKERS:
                LOGGER.warning("%s: its worker was lost (%s); it will be resumed", cell, why)
            else:
                self._problem(cell, f"{count} workers were lost in it, last because: {why}")
            return
        if outcome.problem:
            self._problem(cell, outcome.problem)
            return
        if not self._is_visible(cell):
            folder = self._study.folder(cell)
            self._problem(
                cell, f"finished, but its results do not appear in {folder}; check the shared disk"
            )
            return
        write_report(self._study)
        finished = read_results(self._study)
        if failed := failures(self._study).get(cell):
            LOGGER.warning("%s failed: %s; continuing with the other cells", cell, failed)
            return
        LOGGER.info(
            "%s: finished in %s by %s; %d of %d cells, %s",
            cell,
            duration(outcome.seconds),
            outcome.worker,
            len(finished),
            len(self._study.cells),
            time_left(unfinished(self._study), finished),
        )

    def _problem(self, cell: Cell, problem: str) -> None:
        self._problems[cell] = problem
        LOGGER.error("%s: error: %s; continuing with the other cells", cell, problem)

    def _is_visible(self, cell: Cell) -> bool:
        """Whether this machine sees that a cell has ended; waits for the shared disk."""
        deadline = time.monotonic() + VISIBLE_SECONDS
        while cell in unfinished(self._study):
            if time.monotonic() > deadline:
                return False
            time.sleep(1)
        return True

    def _stop(self) -> None:
        """Lets the running cells save, then gives up waiting for them."""
        LOGGER.info("interrupted: waiting for %d cells to save", len(self._running))
        for task in self._running:
            self._ray.cancel(task)
        tasks = list(self._running)
        with suppress(KeyboardInterrupt):  # a second one: do not wait
            self._ray.wait(tasks, num_returns=len(tasks), timeout=STOP_SECONDS)


def _run_on_worker(job: _Job, cell: Cell) -> _Outcome:
    """Runs one cell in a worker's process, unless others have finished it meanwhile."""
    started = time.monotonic()
    worker = f"process {os.getpid()} on {socket.gethostname()}"
    try:
        _require_same_surroundings(job)
        import_modules(job.modules)
        load_config_module(job.config.partition(":")[0])
        use_compilation_cache()
        folder = job.study.folder(cell)
        with Claims().claim(folder, wait=True):
            if cell in unfinished(job.study):
                with logging_to(folder, console=False):
                    LOGGER.info("worker: %s", worker)
                    data = open_experiment_data(job.study.settings[cell])
                run_cell(job.study, cell, data)
    except UserError as error:
        return _Outcome(str(error), time.monotonic() - started, worker)
    return _Outcome("", time.monotonic() - started, worker)


def _require_same_surroundings(job: _Job) -> None:
    require_version(job.version)
    if not job.probe.is_file():
        raise UserError(
            f"{socket.gethostname()} does not see the workdir {job.study.workdir}; choose a "
            "--workdir on a disk that all machines of the cluster share under the same path"
        )
    if job.folder.is_dir():
        os.chdir(job.folder)


@contextmanager
def _probe(study: Study) -> Iterator[Path]:
    """A file in the workdir for the time of the block."""
    probe = study.workdir / f".{secrets.token_hex(8)}.probe"
    write_whole(probe, "")
    try:
        yield probe
    finally:
        remove(probe)


def _compute_dtype(name: str) -> str:
    return compute_dtype(name).name


def _resources(ray: ModuleType, options: RayOptions) -> dict[str, Any]:
    """The keywords of a task: what a cell needs, and the environment in which it keeps to that.

    Raises:
      UserError: no machine has as much.
    """
    present = machines(ray)
    most_gpus = max((machine.get("GPU", 0) for machine in present), default=0)
    gpus = min(1, most_gpus) if options.gpus_per_cell is None else options.gpus_per_cell
    cpus_beside = [int(m.get("CPU", 0)) for m in present if m.get("GPU", 0) >= gpus]
    most_cpus = max(cpus_beside, default=0)
    cpus = options.cpus_per_cell or min(DEFAULT_CPUS, most_cpus)
    if not 1 <= cpus <= most_cpus:
        raise UserError(
            f"no machine of Ray's has {max(cpus, 1)} CPUs and {gpus:g} GPUs for a cell (at "
            f"most {most_gpus:g} GPUs, and {most_cpus} CPUs beside {gpus:g}); lower "
            "--cpus-per-cell or --gpus-per-cell"
        )
    LOGGER.info("machines in Ray: %d; each cell takes CPUs: %d, GPUs: %g", len(present), cpus, gpus)
    environment = worker_environment(cpus)
    if 0 < gpus < 1:
        environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{SHARE_OF_GPU_MEMORY * gpus:.3f}"
    return {"num_cpus": cpus, "num_gpus": gpus, "runtime_env": {"env_vars": environment}}
