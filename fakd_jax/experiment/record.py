"""`environment.json`: the contents that a run uses, and the environment of each of its starts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fakd_jax.errors import UserError
from fakd_jax.runs.files import ENVIRONMENT_FILE
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.runtime.distributed import is_writer
from fakd_jax.runtime.environment import describe_environment, environment_differences
from fakd_jax.runtime.json_text import parse_json, require_shape
from fakd_jax.training.metric_log import LOGGER

# Keys of the config that say where a content lies. When a run is resumed it may lie elsewhere, but
# must be the same: :meth:`RunRecord.pin`.
CONTENT_KEYS = frozenset(
    {
        "data.source",
        "data.groups",
        "data.lesion_masks",
        "teacher.checkpoint",
        "teacher.pretrained",
        "student.pretrained",
    }
)
ABSENT = "none"
"""The digest of a content that a run does without."""


class RunRecord:
    """The `environment.json` of a workdir.

    Args:
      workdir: of the run.
      inputs: the contents that the run has to use, see :meth:`hold`; any, by default.

    Attributes:
      file: its path.
      inputs: the digest of each content that the run has used, by its key in the config.
      starts: the environment of each start, see :meth:`begin`, oldest first.

    Raises:
      UserError: the file is damaged, or the run began with other contents than `inputs`.
    """

    def __init__(self, workdir: Path, inputs: Mapping[str, str] | None = None) -> None:
        self.file = workdir / ENVIRONMENT_FILE
        self.inputs: dict[str, str] = {}
        self.starts: list[dict[str, Any]] = []
        if self.exists:
            try:
                values = parse_json(self.file.read_text(encoding="utf-8"))
                require_shape(values, {"inputs": {str: str}, "starts": [{}]})
                self.inputs, self.starts = dict(values["inputs"]), list(values["starts"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UserError(f"{self.file} is damaged ({error}); restore it") from error
        for key, digest in (inputs or {}).items():
            self.hold(key, digest)

    @property
    def exists(self) -> bool:
        """Whether the workdir has the file; runs of earlier versions have none."""
        return self.file.is_file()

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Adds a start, and warns if its environment differs from that of the start before.

        Args:
          settings: what else is recorded, such as the precision; JSON-able.
        """
        now = describe_environment()
        if self.starts and (differing := environment_differences(self.starts[-1], now)):
            LOGGER.warning(
                "this run goes on in another environment (%s): its results may differ from those "
                "of an uninterrupted run",
                "; ".join(differing),
            )
        started = datetime.now(UTC).isoformat(timespec="seconds")
        self.starts.append({"started": started, **settings, **now})
        self._write()

    def pin(self, key: str, digest: str) -> None:
        """Does what :meth:`hold` does, and writes the file if the content is new."""
        if self.inputs.get(key) != digest:
            self.hold(key, digest)
            self._write()

    def hold(self, key: str, digest: str) -> None:
        """Checks that a content is the one that the run began with, or takes it as that.

        The file is written at the next :meth:`begin` or :meth:`pin`.

        Args:
          key: of the config, one of :data:`CONTENT_KEYS`.
          digest: of the content; :data:`ABSENT` for none.

        Raises:
          UserError: the content is another one.
        """
        known = self.inputs.setdefault(key, digest)
        if known != digest:
            raise UserError(
                f"config.{key} gives other content than this run began with (digest {digest[:12]}, "
                f"then {known[:12]}); give the same as then, or choose another --workdir"
            )

    def _write(self) -> None:
        if not is_writer():
            return
        values = {"inputs": self.inputs, "starts": self.starts}
        write_whole(self.file, json.dumps(values, indent=2) + "\n")
