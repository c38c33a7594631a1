"""What a file of weights does not say: what the network's outputs mean and its inputs must be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.errors import UserError, listed


@dataclass(frozen=True)
class Task:
    """What makes a converted network complete: it can be evaluated and explained, and can teach.

    Attributes:
      class_names: of the outputs, in their order.
      preprocessing: how images become the network's input.
      negative_class: the class without a tumour; "" if all are tumours, None if unknown.
    """

    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    negative_class: str | None = None

    def __post_init__(self) -> None:
        names = self.class_names
        if len(names) < 2 or not all(names):
            raise UserError(f"the class names {list(names)} are not two or more names")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UserError(f"class names given twice: {', '.join(twice)}")
        if self.negative_class and self.negative_class not in names:
            raise UserError(
                f"the negative class {self.negative_class!r} is none of the classes "
                f"({', '.join(names)}); name one of them"
            )

    def to_metadata(self) -> dict[str, Any]:
        """The keys of a checkpoint's metadata that it decides."""
        return {
            "class_names": list(self.class_names),
            "preprocessing": self.preprocessing.to_dict(),
            "negative_class": self.negative_class,
        }


def choose_task(
    *,
    class_names: Sequence[str] | None,
    image_size: int | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    negative_class: str | None,
) -> Task | None:
    """The task that flags describe; None if none of them is given.

    Args:
      class_names: of the outputs, in their order.
      image_size: side of the network's input.
      mean: of three channels, or one number for all.
      std: likewise.
      negative_class: may be left out.

    Raises:
      UserError: some are given and others that are needed are not; or a value is wrong.
    """
    needed = {"class-names": class_names, "image-size": image_size, "mean": mean, "std": std}
    missing = [f"--{name}" for name, value in needed.items() if value is None]
    if len(missing) == len(needed) and negative_class is None:
        return None
    if class_names is None or image_size is None or mean is None or std is None:
        raise UserError(
            f"a network that can be evaluated, explained or teach needs {listed(missing)} too: its "
            "classes in the order of its outputs, and how its images were prepared"
        )
    preprocessing = Preprocessing(image_size, _three(mean), _three(std))
    return Task(tuple(class_names), preprocessing, negative_class)


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    """One number repeated for each channel; other counts are the preprocessing's to refuse."""
    return tuple(values) * 3 if len(values) == 1 else tuple(values)  # type: ignore[return-value]
