"""The rows of a prediction: from logits to what each column says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from fakd_jax.data.layouts.walking import printable
from fakd_jax.metrics.calibration import scale_logits
from fakd_jax.prediction.reading import ReadImage
from fakd_jax.prediction.runtimes import Reference, Runtime

if TYPE_CHECKING:
    from fakd_jax.runs.decision import Decision


class Row(NamedTuple):
    """What is said about an image, or about a file that cannot be read; None is not known.

    Attributes:
      path: of its file, as the user named it; bytes that are not UTF-8 are escaped.
      frame: number of the image in the file, from 0; None if the file cannot be read.
      prediction: the most probable class.
      abstained: whether the network is too unsure to decide.
      probabilities: of the classes.
      ood_score: how foreign the image is; higher is more foreign.
      quality: what is wrong with the picture, "" if nothing is.
      error: why there is no prediction.
    """

    path: str
    frame: int | None = None
    prediction: str | None = None
    abstained: bool | None = None
    probabilities: tuple[float, ...] | None = None
    ood_score: float | None = None
    quality: str | None = None
    error: str | None = None


def column_names(class_names: Sequence[str]) -> list[str]:
    """The columns of a row, one per probability."""
    probabilities = (f"p_{name}" for name in class_names)
    before, after = ("path", "frame", "prediction", "abstained"), ("ood_score", "quality", "error")
    return [*before, *probabilities, *after]


def cells(row: Row, class_names: Sequence[str]) -> list[Any]:
    """The values of a row by :func:`column_names`."""
    probabilities = row.probabilities or (None,) * len(class_names)
    return [*row[:4], *probabilities, *row[5:]]


@dataclass(frozen=True)
class Tally:
    """Counts of the rows that are written.

    Attributes:
      rows: of images and of files that cannot be read.
      errors: rows without a prediction.
      abstained: rows on which the network abstained.
      foreign: rows beyond the threshold of foreign images.
      flagged: rows with a remark on quality.
    """

    rows: int = 0
    errors: int = 0
    abstained: int = 0
    foreign: int = 0
    flagged: int = 0

    def with_rows(self, rows: Sequence[Row], foreign_threshold: float | None) -> Tally:
        """The counts with these rows too."""
        scores = [row.ood_score for row in rows if row.ood_score is not None]
        threshold = float("inf") if foreign_threshold is None else foreign_threshold
        return Tally(
            self.rows + len(rows),
            self.errors + sum(row.error is not None for row in rows),
            self.abstained + sum(bool(row.abstained) for row in rows),
            self.foreign + sum(score > threshold for score in scores),
            self.flagged + sum(bool(row.quality) for row in rows),
        )

    def to_dict(self) -> dict[str, int]:
        """JSON-able, the arguments of the constructor."""
        return asdict(self)


@dataclass(frozen=True)
class Judge:
    """Turns images into rows.

    Attributes:
      runtime: computes the network.
      class_names: of its outputs, in order.
      decision: temperature and reject threshold; None if neither is known.
      reference: what the training images look like; None if it is not known.
    """

    runtime: Runtime
    class_names: Sequence[str]
    decision: Decision | None
    reference: Reference | None

    def rows(self, images: Sequence[ReadImage]) -> list[Row]:
        """A row per image, those that cannot be read included.

        Args:
          images: at most `batch_size` of them with pixels.
        """
        readable = [image.pixels for image in images if image.pixels is not None]
        judged = iter(self._judged(np.stack(readable)) if readable else ())
        return [
            Row(printable(image.file.path), image.frame, error=image.error)
            if image.pixels is None
            else next(judged)._replace(
                path=printable(image.file.path), frame=image.frame, quality=image.quality
            )
            for image in images
        ]

    def _judged(self, pixels: UInt8[np.ndarray, "N S S 3"]) -> list[Row]:
        """A row without a path per image."""
        count = len(pixels)
        missing = self.runtime.batch_size - count if self.runtime.pads else 0
        batch = np.pad(pixels, [(0, missing), (0, 0), (0, 0), (0, 0)])
        if self.reference is None:
            logits, scores = self.runtime.logits(batch)[:count], [None] * count
        else:
            features, logits = (each[:count] for each in self.runtime.features_and_logits(batch))
            scores = self.reference.foreign_scores(features).tolist()
        calibrated = probabilities(logits, self.decision)
        threshold = self.decision and self.decision.reject_threshold
        abstained: list[bool | None] = [None] * count
        if threshold is not None:
            abstained = (probabilities(logits, None).max(axis=1) < threshold).tolist()
        return [
            Row("", None, self.class_names[best], gave_up, tuple(row), score)
            for best, gave_up, row, score in zip(
                logits.argmax(axis=1), abstained, calibrated.tolist(), scores, strict=True
            )
        ]


def probabilities(
    logits: Float32[np.ndarray, "N C"], decision: Decision | None
) -> Float32[np.ndarray, "N C"]:
    """softmax(logits / temperature), with a temperature of 1 where none is known.

    Then they are those of :meth:`fakd_jax.inference.predictor.Predictor.predict_proba`, to the
    bit: dividing by 1 changes nothing.
    """
    temperature = decision.temperature if decision and decision.temperature else 1.0
    return scale_logits(logits, temperature).astype(np.float32)
