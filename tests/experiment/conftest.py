"""What the tests of experiments share: tiny runs, interruption, and the log."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakd_jax.experiment.teacher_and_student import ExperimentResult, run_experiment
from fakd_jax.training.checkpoints import PhaseCheckpoints
from fakd_jax.training.metric_log import LOGGER
from fakd_jax.training.state import Learner, TrainState
from tests.tiny import tiny_config


@pytest.fixture(scope="session")
def run(data: Path, cache: Path) -> Callable[..., ExperimentResult]:
    """Runs `configs/<name>.py`, made tiny, in a workdir."""

    def run(name: str, workdir: Path, *, data: Path = data, **more: object) -> ExperimentResult:
        workdir.mkdir(parents=True, exist_ok=True)
        return run_experiment(tiny_config(name, data, cache, **more), workdir)

    return run


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Has a run interrupted once a phase has saved a step."""
    save = PhaseCheckpoints.save

    def interrupt(phase: str, step: int) -> None:
        def interrupt_after_saving(
            self: PhaseCheckpoints, learner: Learner, state: TrainState, *args: Any, **more: Any
        ) -> None:
            save(self, learner, state, *args, **more)
            if phase in self.last_directory.parts and int(state.step) == step:
                monkeypatch.undo()
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(PhaseCheckpoints, "save", interrupt_after_saving)

    return interrupt


@pytest.fixture
def log_lines(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], str]:
    """Returns what the package has logged so far, warnings and worse, in lines."""
    monkeypatch.setattr(LOGGER, "propagate", True)
    caplog.set_level("WARNING")
    return lambda: "\n".join(caplog.messages)
