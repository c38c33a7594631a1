"""What became of each key of a state dict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LoadReport:
    """What was loaded from a state dict and what was not; keys as PyTorch names them.

    Attributes:
      loaded: number of arrays loaded.
      parameters: number of values loaded by group (`layer1`, `features.3`, …), without batch
        statistics.
      statistics: number of values of batch statistics loaded.
      fresh: keys that keep their initial values.
      left_out: keys that were there and did not fit, with their shapes.
      ignored: keys without a use here (`num_batches_tracked`).
      notes: what was chosen, taken off or changed on the way; one line each.
      source: the file or folder.
      sha256: of the file, or of a folder's arrays.
      naming: the library that names the keys so.
    """

    loaded: int
    parameters: Mapping[str, int]
    statistics: int
    fresh: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    source: str | None = None
    sha256: str | None = None
    naming: str = "torchvision"

    @property
    def head(self) -> str:
        """'pretrained', 'untrained' (the head did not fit) or 'absent'."""
        if not self.fresh:
            return "pretrained"
        return "untrained" if self.left_out else "absent"

    def summary(self) -> str:
        """The report as a few lines of text."""
        digest = f" (sha256 {self.sha256})" if self.sha256 else ""
        groups = ", ".join(f"{name} {count:,}" for name, count in self.parameters.items())
        lines = [
            f"weights from {self.source or 'a state dict'}{digest}",
            *self.notes,
            f"loaded {self.loaded} arrays: {sum(self.parameters.values()):,} parameters, "
            f"{self.statistics:,} batch statistics; the keys are named as in {self.naming}",
            f"parameters by group: {groups}",
        ]
        if self.fresh:
            lines.append(f"initialised at random: {', '.join(self.fresh)}")
        if self.left_out:
            lines.append(f"left out, as they do not fit: {'; '.join(self.left_out)}")
        if self.ignored:
            kinds = sorted({key.rpartition(".")[2] for key in self.ignored})
            lines.append(f"ignored: {len(self.ignored)} keys ({', '.join(kinds)})")
        return "\n".join(lines)
