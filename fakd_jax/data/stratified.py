"""Random draws stratified by class that keep groups of duplicates together."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from fakd_jax.data.dataset import ImageDataset
from fakd_jax.errors import UserError
from fakd_jax.runtime.hashing import sha256


class Clusters:
    """The sets of images that must stay together: groups of duplicates, or single images.

    Args:
      dataset: the data.
      groups: the group of every id; None puts every image into a group of its own.
    """

    def __init__(self, dataset: ImageDataset, groups: Mapping[str, int] | None) -> None:
        self.source = dataset.source
        self.class_names = dataset.class_names
        self._labels = {example.id: example.label for example in dataset.examples}
        self._groups = groups

    def among(self, ids: Iterable[str]) -> list[tuple[str, ...]]:
        """The clusters of these ids, without their other members, each sorted."""
        if self._groups is None:
            return [(id,) for id in sorted(ids)]
        members: dict[int, list[str]] = defaultdict(list)
        for id in sorted(ids):
            members[self._groups[id]].append(id)
        return sorted(map(tuple, members.values()))

    def shared(self) -> dict[str, int]:
        """The groups of two or more images, numbered in the order of their first ids."""
        together = [cluster for cluster in self.among(self._labels) if len(cluster) > 1]
        return {id: number for number, cluster in enumerate(together) for id in cluster}

    def touched_by(self, ids: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
        """The ids whose cluster has a member among the others, sorted."""
        if self._groups is None:
            return ()
        taken = {self._groups[id] for id in others}
        return tuple(sorted(id for id in ids if self._groups[id] in taken))

    def classes(self, cluster: Sequence[str]) -> Counter[int]:
        """Number of a cluster's images by class."""
        return Counter(self._labels[id] for id in cluster)

    def class_of(self, cluster: Sequence[str]) -> int:
        """The class of most of a cluster's images, the first in case of a tie."""
        counts = self.classes(cluster)
        return min(counts, key=lambda label: (-counts[label], label))

    def by_class(self, ids: Iterable[str]) -> dict[int, list[tuple[str, ...]]]:
        """The clusters of these ids by class."""
        sorted_out: dict[int, list[tuple[str, ...]]] = defaultdict(list)
        for cluster in self.among(ids):
            sorted_out[self.class_of(cluster)].append(cluster)
        return dict(sorted(sorted_out.items()))


def draw(
    clusters: Clusters,
    ids: Iterable[str],
    share: float | Mapping[int, float],
    seed: int,
    *,
    purpose: str = "",
    candidates: Sequence[Iterable[str]] | None = None,
) -> tuple[str, ...]:
    """Draws a share of every class, whole clusters at a time.

    The clusters of a class are shuffled, and each that still fits into `floor(share · n + 0.5)`
    images is drawn, so the number is exact if the class has enough small clusters. At least one
    cluster is drawn and at least one left.

    Args:
      clusters: the images that must stay together.
      ids: to draw from.
      share: in (0, 1), of each class's n images; one for all classes, or by label.
      seed: of the order.
      purpose: makes two draws with the same seed independent.
      candidates: parts of `ids`, in whole clusters of every class, which alone are drawn from, one
        after the other; None draws from all ids.

    Returns:
      The ids drawn, sorted.

    Raises:
      UserError: a class has a single cluster.
    """
    drawn: list[str] = []
    parts = None if candidates is None else [clusters.by_class(part) for part in candidates]
    for label, members in clusters.by_class(ids).items():
        total = sum(map(len, members))
        if len(members) < 2:
            what = "image" if total == 1 else "group of duplicates"
            raise UserError(
                f"the class {clusters.class_names[label]} of {clusters.source} has a single "
                f"training {what}, and validation or test needs one too; add images"
            )
        fraction = share[label] if isinstance(share, Mapping) else share
        wanted = min(max(math.floor(fraction * total + 0.5), 1), total - 1)
        shuffled = [
            cluster
            for part in ([members] if parts is None else [part[label] for part in parts])
            for cluster in sorted(part, key=lambda cluster: _place(seed, purpose, cluster[0]))
        ]
        taken: list[str] = []
        for cluster in shuffled:  # `wanted` is below the total, so one cluster is left
            if len(taken) + len(cluster) <= wanted:
                taken.extend(cluster)
        smallest = min(shuffled, key=len)
        drawn.extend(taken or smallest)  # every cluster may be larger than `wanted`
    return tuple(sorted(drawn))


def draw_nested(
    clusters: Clusters, ids: Iterable[str], share: float, seed: int, *, purpose: str
) -> tuple[str, ...]:
    """Draws a share of every class, whole clusters at a time, within what a larger share draws.

    The clusters of a class are shuffled, and as many from the start are drawn as give the number of
    images nearest to `share · n` (of two, the larger), but at least one. Of a class that is in no
    cluster the largest, the first cluster with an image of it is drawn at every share.

    Args:
      clusters: the images that must stay together.
      ids: to draw from.
      share: in (0, 1], of each class's n images.
      seed: of the order.
      purpose: makes two draws with the same seed independent.

    Returns:
      The ids drawn, sorted.
    """
    ids = tuple(ids)

    def shuffled(members: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
        return sorted(members, key=lambda cluster: _place(seed, purpose, cluster[0]))

    by_class = clusters.by_class(ids)
    drawn: set[str] = set()
    for members in by_class.values():
        order = shuffled(members)
        sizes = list(itertools.accumulate(map(len, order)))
        wanted = share * sizes[-1]
        number = max(range(len(order)), key=lambda n: (-abs(sizes[n] - wanted), n)) + 1
        drawn.update(*order[:number])
    for label in clusters.classes(ids).keys() - by_class.keys():
        having = (cluster for cluster in clusters.among(ids) if label in clusters.classes(cluster))
        drawn.update(shuffled(having)[0])
    return tuple(sorted(drawn))


def deal(clusters: Clusters, ids: Iterable[str], parts: int, seed: int) -> list[tuple[str, ...]]:
    """Deals all clusters into parts of nearly equal size in every class.

    Larger clusters first, in a random order among equals, each to the part with the fewest images
    of its class so far (in case of a tie, the fewest images).

    Args:
      clusters: the images that must stay together.
      ids: to deal.
      parts: their number.
      seed: of the order.

    Returns:
      The ids of each part, sorted.

    Raises:
      UserError: a class has fewer clusters than parts.
    """
    dealt: list[list[str]] = [[] for _ in range(parts)]
    for label, members in clusters.by_class(ids).items():
        if len(members) < parts:
            raise UserError(
                f"the class {clusters.class_names[label]} of {clusters.source} has "
                f"{len(members)} groups of duplicates, fewer than the {parts} folds; "
                "use fewer folds or add images"
            )
        own = [0] * parts
        order = sorted(members, key=lambda cluster: (-len(cluster), _place(seed, "", cluster[0])))
        for cluster in order:
            part = min(range(parts), key=lambda index: (own[index], len(dealt[index]), index))
            own[part] += len(cluster)
            dealt[part].extend(cluster)
    return [tuple(sorted(part)) for part in dealt]


def _place(seed: int, purpose: str, id: str) -> str:
    """A position in a random order that depends on nothing else."""
    key = f"{seed}\0{id}" if not purpose else f"{seed}\0{purpose}\0{id}"
    return sha256(key)
