"""Groups of images that a split keeps together: one's own, such as patients, and their union."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path

import numpy as np

from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.layouts.names import composed
from fakd_jax.data.layouts.table_files import read_table, require_rows
from fakd_jax.data.pixels.frames import file_id
from fakd_jax.errors import UserError, listed
from fakd_jax.runtime.hashing import sha256_of_json

PATH_COLUMNS = ("path", "id")
GROUP_COLUMN = "group"


def read_groups(
    file: Path | str, dataset: ImageDataset, log: Callable[[str], object] = print
) -> dict[str, str]:
    """Reads the group of every image from a table, such as its patient.

    The file is CSV, JSON lines or Parquet with the columns `path` (or `id`) and `group`; others are
    ignored. A path is an image's id, that below the data's folder, or that of the file which holds
    the image with others. Every image of the data needs exactly one row; rows of images that the
    data do not have are counted in the log and ignored.

    Args:
      file: the table, see :func:`fakd_jax.data.layouts.table_files.read_table`.
      dataset: the data.
      log: called with a line about ignored rows.

    Returns:
      The group by id.

    Raises:
      UserError: the file cannot be read, has other columns or no row, a row without path or group,
        several rows of one image, or none for some image.
    """
    path = Path(file).expanduser()
    rows = _read_rows(path)
    if incomplete := [str(line) for line, image, group in rows if not (image and group)]:
        raise UserError(f"{path} has rows without a path or a group: line {listed(incomplete)}")
    known = {example.id for example in dataset.examples}
    forms = {composed(id): id for id in known}
    paths = [_id_of(image, dataset.folder) for _, image, _ in rows]
    named = [
        (path if path in known else forms.get(composed(path), path), group)
        for path, (_, _, group) in zip(paths, rows, strict=True)
    ]
    counts = Counter(id for id, _ in named)
    if doubled := [id for id, number in counts.items() if number > 1]:
        raise UserError(f"{path} has several rows of the same image: {listed(doubled)}; keep one")
    given = dict(named)
    of_file = {id: file_id(id) for id in known}
    given |= {id: given[file] for id, file in of_file.items() if id not in given and file in given}
    if missing := sorted(known - given.keys()):
        raise UserError(
            f"{path} has no row of {len(missing):,} of the {len(known):,} images of "
            f"{dataset.source}: {listed(missing)}; add them, each with a group of its own if it "
            "belongs to none"
        )
    if others := sorted(given.keys() - known - set(of_file.values())):
        log(f"data: {path} also names {len(others):,} images that the data lack: {listed(others)}")
    return {id: given[id] for id in sorted(known)}


def fingerprint_of_groups(groups: Mapping[str, str]) -> str:
    """The SHA-256 of every image's group, whatever the order of the rows."""
    return sha256_of_json(sorted(groups.items()))


def join_groups(*groupings: Mapping[str, Hashable]) -> dict[str, int]:
    """Joins groups that share an image, in any of the groupings: connected components.

    Args:
      *groupings: the group by id; an image may be absent from some.

    Returns:
      The number of every image's group, in the order of their first ids.

    >>> join_groups({"a": 1, "b": 1, "c": 2, "d": 3}, {"b": "x", "c": "x", "d": "y"})
    {'a': 0, 'b': 0, 'c': 0, 'd': 1}
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ids = sorted(set().union(*groupings))
    node = {id: number for number, id in enumerate(ids)}
    groups = {key: len(ids) + number for number, key in enumerate(_keys(groupings))}
    edges = [
        (node[id], groups[which, group])
        for which, grouping in enumerate(groupings)
        for id, group in grouping.items()
    ]
    rows, columns = np.array(edges, np.int64).reshape(-1, 2).T
    size = len(ids) + len(groups)
    graph = coo_array((np.ones(len(edges)), (rows, columns)), shape=(size, size))
    components = connected_components(graph, directed=False)[1][: len(ids)].tolist()
    numbers = {component: number for number, component in enumerate(dict.fromkeys(components))}
    return {id: numbers[component] for id, component in zip(ids, components, strict=True)}


def _keys(groupings: Iterable[Mapping[str, Hashable]]) -> dict[tuple[int, Hashable], None]:
    """Every group of every grouping, once."""
    return {
        (which, group): None
        for which, grouping in enumerate(groupings)
        for group in grouping.values()
    }


def _read_rows(path: Path) -> list[tuple[int, str, str]]:
    """The line, the path and the group of every row."""
    columns, rows = read_table(path)
    column = next((name for name in PATH_COLUMNS if name in columns), None)
    if column is None or GROUP_COLUMN not in columns:
        raise UserError(
            f"{path} has the columns {', '.join(columns) or 'none'}; it needs "
            f"{PATH_COLUMNS[0]} (or {PATH_COLUMNS[1]}) and {GROUP_COLUMN}"
        )
    require_rows(path, rows)
    return [(line, values[column], values[GROUP_COLUMN]) for line, values in rows]


def _id_of(image: str, folder: Path) -> str:
    """An image's id from its path, absolute or below the data's folder."""
    path = Path(image)
    if path.is_absolute() and path.is_relative_to(folder):
        path = path.relative_to(folder)
    return path.as_posix()
