"""What the tests of experiments share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fakd_jax.training.metric_log import LOGGER


@pytest.fixture
def log_lines(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], str]:
    """Returns what the package has logged so far, warnings and worse, in lines."""
    monkeypatch.setattr(LOGGER, "propagate", True)
    caplog.set_level("WARNING")
    return lambda: "\n".join(caplog.messages)
