"""Where the masks of images lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fakd_jax.data.pixels.frames import file_id


@dataclass(frozen=True)
class MaskFiles:
    """Finds the masks of images.

    Attributes:
      folder: has a file of the name :func:`mask_name` for each image with a mask, but those in
        `named`.
      named: the masks by id of images whose masks lie elsewhere.
    """

    folder: Path
    named: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)

    def of(self, id: str) -> tuple[Path, ...]:
        """The masks of an image, one or more; () if it has none.

        >>> MaskFiles(Path("masks")).of("Training/glioma/no-such-image.jpg")
        ()
        """
        if id in self.named:
            return self.named[id]
        path = self.folder / mask_name(id)
        return (path,) if path.is_file() else ()


def without_own(ids: Iterable[str]) -> dict[str, tuple[Path, ...]]:
    """No mask for images that would have one file by their names: it is nobody's."""
    names = {id: mask_name(id) for id in ids}
    count = Counter(names.values())
    return {id: () for id, name in names.items() if count[name] > 1}


def mask_name(id: str) -> str:
    """The name of an image's mask in a folder of masks.

    >>> mask_name("Training/glioma/a.jpg"), mask_name("Training/volume.nii.gz#80")
    ('Training/glioma/a.png', 'Training/volume.nii#80.png')
    """
    file = file_id(id)
    return f"{Path(file).with_suffix('').as_posix()}{id.removeprefix(file)}.png"
