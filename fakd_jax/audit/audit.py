"""The result of a search for copies, kept beside the prepared data and found by its fingerprint."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakd_jax.data.cache import ADVICE, data_cache_folder
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.errors import UserError
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.runtime.hashing import sha256_of_json

if TYPE_CHECKING:
    from fakd_jax.audit.matching.appearance import Thumbnails

METHOD = "v1"
"""Part of the fingerprint: raise it when other pairs would be found."""

Log = Callable[[str], object]


@dataclass(frozen=True)
class CopyRecord:
    """A pair of images by their ids; otherwise as :class:`fakd_jax.audit.matching.search.Copy`."""

    first: str
    second: str
    orientation: str
    alteration: str
    whole: float
    parts: float


@dataclass(frozen=True)
class Audit:
    """Which images of a data set are copies of each other.

    Attributes:
      data_fingerprint: of the data set.
      copies: confirmed pairs.
      rejected: pairs found different, the most alike first.
      groups: of every image's id the number of its group of copies; an image without copies is
        a group of its own.
    """

    data_fingerprint: str
    copies: tuple[CopyRecord, ...]
    rejected: tuple[CopyRecord, ...]
    groups: dict[str, int]

    @property
    def fingerprint(self) -> str:
        """The identity of the groups: the data, the method and every image's group."""
        values = [METHOD, self.data_fingerprint, sorted(self.groups.items())]
        return sha256_of_json(values)

    def members(self) -> dict[int, list[str]]:
        """The ids of every group of two or more images, sorted."""
        members: dict[int, list[str]] = {}
        for id, group in sorted(self.groups.items()):
            members.setdefault(group, []).append(id)
        return {group: ids for group, ids in sorted(members.items()) if len(ids) > 1}

    def with_copy_in(self, ids: Iterable[str], among: Iterable[str]) -> set[str]:
        """Those of `ids` that share a group with another image of `among`."""
        holders: dict[int, set[str]] = {}
        for id in among:
            holders.setdefault(self.groups[id], set()).add(id)
        return {id for id in ids if holders.get(self.groups[id], set()) - {id}}


def find_audit(dataset: ImageDataset, cache_dir: Path | str | None = None) -> Audit | None:
    """The audit of this very data, if it was ever made and kept; else None.

    Args:
      dataset: the data.
      cache_dir: of prepared data, see :func:`fakd_jax.data.cache.data_cache_folder`.

    Raises:
      UserError: the file is damaged.
    """
    file = _file(dataset, cache_dir)
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        if set(values["groups"]) != {example.id for example in dataset.examples}:
            raise ValueError("its groups are of other images")
        return Audit(
            data_fingerprint=values["data_fingerprint"],
            copies=_records(values["copies"]),
            rejected=_records(values["rejected"]),
            groups=values["groups"],
        )
    except FileNotFoundError:
        return None
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise UserError(
            f"the audit {file} is damaged ({error}); delete it and run again"
        ) from error


def audit_copies(
    dataset: ImageDataset, cache_dir: Path | str | None = None, log: Log = print
) -> Audit:
    """The audit of this very data, made now and kept if there is none yet.

    Args:
      dataset: the data.
      cache_dir: see :func:`find_audit`.
      log: told what is going on.

    Raises:
      UserError: the cache can't be written, or holds a damaged audit.
    """
    known = find_audit(dataset, cache_dir)
    if known is not None:
        return known
    from fakd_jax.audit.matching.appearance import read_thumbnails

    log(f"audit: looking for copies among the {len(dataset):,} images of {dataset.name}")
    return search_and_keep(dataset, read_thumbnails(dataset, log), cache_dir, log)


def search_and_keep(
    dataset: ImageDataset,
    thumbnails: Thumbnails,
    cache_dir: Path | str | None = None,
    log: Log = print,
) -> Audit:
    """Makes the audit of a data set and keeps it beside the prepared data.

    Args:
      dataset: the data.
      thumbnails: of all its images.
      cache_dir: see :func:`find_audit`.
      log: told what is going on.

    Raises:
      UserError: the cache can't be written.
    """
    from fakd_jax.audit.matching.search import find_copies

    search = find_copies(thumbnails, log)
    ids = [example.id for example in dataset.examples]

    def named(pairs: Iterable[Any]) -> tuple[CopyRecord, ...]:
        return tuple(
            CopyRecord(**asdict(pair) | {"first": ids[pair.first], "second": ids[pair.second]})
            for pair in pairs
        )

    audit = Audit(
        data_fingerprint=dataset.fingerprint,
        copies=named(search.copies),
        rejected=named(search.rejected),
        groups={id: int(group) for id, group in zip(ids, search.groups, strict=True)},
    )
    write_whole(_file(dataset, cache_dir), json.dumps(asdict(audit)), advice=ADVICE)
    return audit


def _file(dataset: ImageDataset, cache_dir: Path | str | None) -> Path:
    name = f"{dataset.fingerprint[:32]}-{METHOD}.json"
    return data_cache_folder(cache_dir) / "audits" / name


def _records(values: Iterable[dict[str, Any]]) -> tuple[CopyRecord, ...]:
    return tuple(CopyRecord(**value) for value in values)
