"""Contact sheets: pairs of pictures side by side, for a human to judge the audit."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from fakd_jax.audit.findings import conflicts
from fakd_jax.audit.matching.orientations import ORIENTATIONS
from fakd_jax.audit.matching.pairs import DIFFERENT, Pair
from fakd_jax.audit.record import Audit
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.preprocessing import resize

PAIRS_SHOWN = 24
GROUPS_SHOWN = 4
CONFLICTS_SHOWN = 12
MEMBERS_SHOWN = 24
COLUMNS = 4
PICTURE = 150
LINE = 13
GAP = 8


@dataclass(frozen=True)
class Sheet:
    """Pairs, or members of groups, to look at.

    Attributes:
      name: of its file, without suffix.
      title: what is shown.
      cells: pictures side by side, and the lines of their caption.
    """

    name: str
    title: str
    cells: Sequence[tuple[Sequence[UInt8[np.ndarray, "P P 3"]], Sequence[str]]]

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.name}.png"


def make_sheets(dataset: ImageDataset, audit: Audit, seed: int = 0) -> list[Sheet]:
    """Chooses what to look at: random and doubtful duplicates, conflicts, large groups.

    Sheets that would be empty are left out.
    """
    generator = np.random.default_rng(seed)

    def at_random(pairs: Sequence[Pair[str]]) -> list[Pair[str]]:
        return [pairs[i] for i in sorted(generator.permutation(len(pairs))[:PAIRS_SHOWN])]

    weakest = sorted(audit.pairs, key=lambda pair: (pair.parts, pair.first))
    largest = sorted(audit.members().values(), key=lambda ids: (-len(ids), ids))
    differing = conflicts(dataset, audit)
    sheets = [
        Sheet(name, title, [_pair(dataset, pair) for pair in pairs[:PAIRS_SHOWN]])
        for name, title, pairs in (
            ("copies_random", "Duplicates, drawn at random", at_random(audit.pairs)),
            ("copies_weakest", "The duplicates that agree least", weakest),
            ("rejected_nearest", "The most similar different pictures", audit.rejected),
            (
                "rejected_random",
                "Similar different pictures, drawn at random",
                at_random(audit.rejected),
            ),
        )
    ] + [
        Sheet(
            name,
            title,
            [
                ([_picture(dataset, id)], [id])
                for ids in groups[:shown]
                for id in ids[:MEMBERS_SHOWN]
            ],
        )
        for name, title, groups, shown in (
            ("conflicts", "Duplicates with different labels", differing, CONFLICTS_SHOWN),
            ("groups_largest", "The largest duplicate groups", largest, GROUPS_SHOWN),
        )
    ]
    return [sheet for sheet in sheets if sheet.cells]


def draw_sheet(sheet: Sheet) -> bytes:
    """Draws a sheet as a PNG."""
    from PIL import Image, ImageDraw, ImageFont

    side_by_side = max(len(pictures) for pictures, _ in sheet.cells)
    columns = COLUMNS * 2 // side_by_side
    width = side_by_side * PICTURE + GAP
    height = PICTURE + max(len(lines) for _, lines in sheet.cells) * LINE + GAP
    rows = -(-len(sheet.cells) // columns)
    canvas = Image.new("RGB", (columns * width, rows * height), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=10)
    for number, (pictures, lines) in enumerate(sheet.cells):
        left, top = number % columns * width, number // columns * height
        for place, picture in enumerate(pictures):
            canvas.paste(Image.fromarray(picture), (left + place * PICTURE, top))
        for place, line in enumerate(lines):
            where = (left + 2, top + PICTURE + place * LINE)
            pen.text(where, _fitting(line, width - GAP, font), fill="black", font=font)
    content = io.BytesIO()
    canvas.save(content, format="PNG", optimize=True)
    return content.getvalue()


def _fitting(line: str, width: int, font: object) -> str:
    """Cuts the beginning off a line that is too long: names differ at their ends."""
    kept = line
    while len(kept) > 1 and font.getlength(kept) > width:  # type: ignore[attr-defined]
        kept = "…" + kept.lstrip("…")[1:]
    return kept


def _pair(
    dataset: ImageDataset, pair: Pair[str]
) -> tuple[list[UInt8[np.ndarray, "P P 3"]], list[str]]:
    """Both pictures, the second in the orientation of the first."""
    by_name = {orientation.name: orientation for orientation in ORIENTATIONS}
    first, second = _picture(dataset, pair.first), _picture(dataset, pair.second)
    turned = by_name[pair.orientation].apply(second.transpose(2, 0, 1)).transpose(1, 2, 0)
    metrics = f"whole {pair.whole:.3f}, parts {pair.parts:.3f}, {pair.orientation}"
    caption = [pair.first, pair.second, metrics]
    if pair.alteration != DIFFERENT:
        caption.append(pair.alteration)
    return [first, np.ascontiguousarray(turned)], caption


def _picture(dataset: ImageDataset, id: str) -> UInt8[np.ndarray, "P P 3"]:
    return resize(dataset.read(dataset.index_of(id)), PICTURE)
