"""The duplicate groups of a data set, stored beside the prepared data under its fingerprint."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool

from fakd_jax.audit.matching.pairs import Pair
from fakd_jax.audit.plan import EXACT, method_for, plan_search, scratch_folder
from fakd_jax.data.dataset import Example
from fakd_jax.errors import UserError
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.runtime.cache import ADVICE, data_cache_folder
from fakd_jax.runtime.hashing import sha256_of_json
from fakd_jax.runtime.json_text import parse_json
from fakd_jax.runtime.mapping import HERE, Mapper

if TYPE_CHECKING:
    from fakd_jax.audit.matching.appearance import Thumbnails

Log = Callable[[str], object]


@runtime_checkable
class AuditedImages(Protocol):
    """What a search for duplicates needs of a data set."""

    @property
    def name(self) -> str:
        """For the log."""

    @property
    def fingerprint(self) -> str:
        """The identity of the data."""

    @property
    def examples(self) -> Sequence[Example]:
        """The images, in order."""

    def __len__(self) -> int: ...

    def read_encoded(self, index: int) -> bytes:
        """The bytes of an image as stored."""


@dataclass(frozen=True)
class Audit:
    """Which images of a data set are duplicates of each other.

    Attributes:
      data_fingerprint: of the data set.
      pairs: confirmed duplicates, by their ids.
      rejected: pairs that were compared and found different, the most similar first.
      groups: the number of the duplicate group of every image id; an image without duplicates is
        a group of its own.
      method: of the search, see :mod:`fakd_jax.audit.plan`.
    """

    data_fingerprint: str
    pairs: tuple[Pair[str], ...]
    rejected: tuple[Pair[str], ...]
    groups: dict[str, int]
    method: str = EXACT

    @property
    def fingerprint(self) -> str:
        """The identity of the groups: of the data, the method and every image's group."""
        return sha256_of_json([self.method, self.data_fingerprint, sorted(self.groups.items())])

    def members(self) -> dict[int, list[str]]:
        """The sorted ids of every group of two or more images."""
        members: dict[int, list[str]] = {}
        for id, group in sorted(self.groups.items()):
            members.setdefault(group, []).append(id)
        return {group: ids for group, ids in sorted(members.items()) if len(ids) > 1}

    def with_duplicate_in(self, ids: Iterable[str], among: Iterable[str]) -> set[str]:
        """Those of `ids` that share a group with another image of `among`."""
        holders: dict[int, set[str]] = {}
        for id in among:
            holders.setdefault(self.groups[id], set()).add(id)
        return {id for id in ids if holders.get(self.groups[id], set()) - {id}}


def find_audit(dataset: AuditedImages, cache_dir: Path | str | None = None) -> Audit | None:
    """Returns the stored audit of this data, or None if there is none.

    Args:
      dataset: the data.
      cache_dir: see :func:`fakd_jax.runtime.cache.data_cache_folder`.

    Raises:
      UserError: the file is damaged.
    """
    file = _file(dataset, cache_dir)
    try:
        values = parse_json(file.read_text(encoding="utf-8"))
        if set(values["groups"]) != {example.id for example in dataset.examples}:
            raise ValueError("its groups are of other images")
        return Audit(
            data_fingerprint=values["data_fingerprint"],
            pairs=tuple(Pair(**pair) for pair in values["copies"]),
            rejected=tuple(Pair(**pair) for pair in values["rejected"]),
            groups=values["groups"],
            method=method_for(len(dataset)),
        )
    except FileNotFoundError:
        return None
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise UserError(
            f"the audit {file} is damaged ({error}); delete it and run again"
        ) from error


def audit_duplicates(
    dataset: AuditedImages,
    cache_dir: Path | str | None = None,
    log: Log = print,
    *,
    settled: Bool[np.ndarray, " N"] | None = None,
) -> Audit:
    """Returns the stored audit of this data; without one, searches for duplicates and stores it.

    Args:
      dataset: the data.
      cache_dir: see :func:`find_audit`.
      log: receives the progress.
      settled: see :func:`fakd_jax.audit.matching.search.find_duplicates`; part of what the
        fingerprint of the data says, because an audit is stored under it.

    Raises:
      UserError: the cache can't be written, or holds a damaged audit.
    """
    known = find_audit(dataset, cache_dir)
    if known is not None:
        return known
    from fakd_jax.audit.matching.appearance import read_thumbnails

    log(f"audit: looking for duplicates among the {len(dataset):,} images of {dataset.name}")
    plan = plan_search(dataset, cache_dir)
    log(f"audit: {plan}")
    thumbnails = read_thumbnails(dataset, log, plan.scratch)
    return search_and_store(dataset, thumbnails, cache_dir, log, settled=settled)


def search_and_store(
    dataset: AuditedImages,
    thumbnails: Thumbnails,
    cache_dir: Path | str | None = None,
    log: Log = print,
    mapper: Mapper = HERE,
    *,
    settled: Bool[np.ndarray, " N"] | None = None,
) -> Audit:
    """Searches for duplicates, whatever is stored, and stores the audit.

    Args:
      dataset: the data.
      thumbnails: of all images.
      cache_dir: see :func:`find_audit`.
      log: receives the progress.
      mapper: computes the chunks of the search.
      settled: see :func:`audit_duplicates`.

    Raises:
      UserError: faiss is needed and not installed, or the cache can't be written.
    """
    from fakd_jax.audit.matching.search import find_duplicates

    scratch = scratch_folder(len(dataset), cache_dir)
    search = find_duplicates(thumbnails, log, scratch, mapper, settled=settled)
    ids = [example.id for example in dataset.examples]

    def by_id(pairs: Iterable[Pair[int]]) -> tuple[Pair[str], ...]:
        named = (
            vars(pair) | {"first": ids[pair.first], "second": ids[pair.second]} for pair in pairs
        )
        return tuple(Pair(**values) for values in named)

    audit = Audit(
        data_fingerprint=dataset.fingerprint,
        pairs=by_id(search.pairs),
        rejected=by_id(search.rejected),
        groups={id: int(group) for id, group in zip(ids, search.groups, strict=True)},
        method=method_for(len(dataset)),
    )
    values = asdict(audit)
    values["copies"] = values.pop("pairs")
    del values["method"]  # part of the file's name
    write_whole(_file(dataset, cache_dir), json.dumps(values), advice=ADVICE)
    return audit


def _file(dataset: AuditedImages, cache_dir: Path | str | None) -> Path:
    name = f"{dataset.fingerprint[:32]}-{method_for(len(dataset))}.json"
    return data_cache_folder(cache_dir) / "audits" / name
