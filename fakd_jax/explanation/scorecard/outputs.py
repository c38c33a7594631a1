"""What a scorecard leaves on disk: figures as JSON and CSV, a table, a picture, a gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fakd_jax.explanation.files import json_bytes
from fakd_jax.explanation.scorecard.cells import CELLS
from fakd_jax.explanation.scorecard.figure import draw_scorecard
from fakd_jax.explanation.scorecard.gallery import gallery
from fakd_jax.explanation.scorecard.pictures import stored_pictures
from fakd_jax.explanation.scorecard.summary import summarise
from fakd_jax.explanation.scorecard.table import csv_text, scorecard_text
from fakd_jax.files import write_whole

SCORECARD_FILE, TABLE_FILE = "scorecard.json", "scorecard.txt"


def write_scorecard(
    output: Path,
    cells: Sequence[Mapping[str, Any]],
    methods: Sequence[str],
    controls: Sequence[str],
    facts: Mapping[str, Any],
    groups: Mapping[str, int] | None,
) -> dict[str, Any]:
    """Sums up cells and writes everything that is made of them.

    Args:
      output: the folder in which `cells/` lies.
      cells: of all images, those of one image beside each other.
      methods: judged.
      controls: held against.
      facts: config, checkpoint and data, as JSON-able values.
      groups: group of copies by id, where an audit knows them.

    Returns:
      What `scorecard.json` holds.
    """
    summary = {**facts, **summarise(cells, methods, controls, groups=groups)}
    ids = list(dict.fromkeys(cell["id"] for cell in cells))
    picture = draw_scorecard(summary)
    page = gallery(
        summary, cells, stored_pictures(output / CELLS, ids), scorecard_picture=picture
    )
    for name, content in {
        SCORECARD_FILE: json_bytes(summary),
        TABLE_FILE: f"{scorecard_text(summary)}\n".encode(),
        "scorecard.csv": csv_text(summary).encode(),
        "scorecard.png": picture,
        "gallery.html": page.encode(),
    }.items():
        write_whole(output / name, content)
    return summary
