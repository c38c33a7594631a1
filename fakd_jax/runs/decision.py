"""What validation images decided about the use of a network: a temperature and a threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fakd_jax.errors import UserError
from fakd_jax.runs.files import METRICS_FILE
from fakd_jax.runs.workdir import evaluation_folders, find_workdir
from fakd_jax.runtime.json_text import parse_json

METADATA_KEY = "decision"


@dataclass(frozen=True)
class Decision:
    """How a network's outputs are turned into answers.

    Attributes:
      temperature: divides the logits, so that probabilities are calibrated (Guo et al. 2017); None
        if it is not known.
      reject_threshold: least confidence of an answer, before the temperature, as evaluation
        measures it; below it the network abstains. None if no threshold is known.
    """

    temperature: float | None = None
    reject_threshold: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """JSON-able, for :meth:`from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Decision:
        """Reads the output of :meth:`to_dict`.

        Raises:
          UserError: unknown or missing settings, or values that cannot be.
        """
        try:
            decision = cls(**values)
            for value in (decision.temperature, decision.reject_threshold):
                if value is not None and not 0 < value < float("inf"):
                    raise ValueError(f"{value} is not above 0")
        except (TypeError, ValueError) as error:
            raise UserError(f"the decision settings {dict(values)} are damaged: {error}") from error
        return decision


def find_decision(
    checkpoint: Path, metadata: Mapping[str, Any], weights_sha256: str
) -> Decision | None:
    """What is known about the use of a checkpoint.

    Its metadata may have it; else an evaluation in its workdir, if it was of the same weights.

    Args:
      checkpoint: the checkpoint's own folder.
      metadata: the checkpoint's.
      weights_sha256: of the network, see :func:`fakd_jax.inference.adapter.weights_sha256`.

    Returns:
      None if neither has it.

    Raises:
      UserError: it is damaged.
    """
    if (stored := metadata.get(METADATA_KEY)) is not None:
        return Decision.from_dict(stored)
    if (workdir := find_workdir(checkpoint)) is None:
        return None
    files = (folder / METRICS_FILE for folder in evaluation_folders(checkpoint, workdir))
    found = [_decision_in(file, weights_sha256) for file in files if file.is_file()]
    known = [decision for decision in found if decision is not None]
    # Whatever images were evaluated, validation images chose, where there were any to choose by.
    return next((one for one in known if one != Decision()), known[0] if known else None)


def _decision_in(file: Path, weights_sha256: str) -> Decision | None:
    """What an evaluation has chosen; None if it is of other weights."""
    try:
        metrics = parse_json(file.read_text(encoding="utf-8"))
        if metrics["provenance"]["weights_sha256"] != weights_sha256:
            return None
        temperature, reject = metrics["calibration"]["temperature"], metrics["selective"]["reject"]
        return Decision(temperature and temperature["value"], reject and reject["threshold"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file} is damaged ({error!r}); evaluate the checkpoint again") from error
