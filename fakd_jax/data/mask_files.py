"""Where the masks of images lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fakd_jax.data.pixels.frames import file_id


@dataclass(frozen=True)
class MaskFiles:
    """Finds the masks of images.

    Attributes:
      folder: has `<id with the suffix .png>` for each image with a mask, but those in `named`; for
        one of several images in a file `<file without its suffix>#<number>.png`.
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
        file = file_id(id)
        path = self.folder / f"{Path(file).with_suffix('')}{id.removeprefix(file)}.png"
        return (path,) if path.is_file() else ()
