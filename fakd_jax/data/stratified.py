"""Drawing some of a data set's images by class, whole groups of copies at a time."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from fakd_jax.data.dataset import ImageDataset
from fakd_jax.errors import UserError
from fakd_jax.runtime.hashing import sha256


class Clusters:
    """What must not be torn apart: groups of copies, or every image for itself.

    Attributes:
      source: of the data, for messages.
      class_names: of the data.
    """

    def __init__(self, dataset: ImageDataset, groups: Mapping[str, int] | None) -> None:
        """Takes the data and its groups.

        Args:
          dataset: the data.
          groups: of every id its group; None puts every image into a group of its own.
        """
        self.source = dataset.source
        self.class_names = dataset.class_names
        self._labels = {example.id: example.label for example in dataset.examples}
        self._groups = groups

    def among(self, ids: Iterable[str]) -> list[tuple[str, ...]]:
        """The clusters of these ids, as far as they lie among them, each sorted."""
        if self._groups is None:
            return [(id,) for id in sorted(ids)]
        members: dict[int, list[str]] = defaultdict(list)
        for id in sorted(ids):
            members[self._groups[id]].append(id)
        return sorted(map(tuple, members.values()))

    def touched_by(self, ids: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
        """Those ids whose cluster has a member among the others, sorted."""
        if self._groups is None:
            return ()
        taken = {self._groups[id] for id in others}
        return tuple(sorted(id for id in ids if self._groups[id] in taken))

    def classes(self, cluster: Sequence[str]) -> Counter[int]:
        """How many of a cluster's images each class has."""
        return Counter(self._labels[id] for id in cluster)

    def class_of(self, cluster: Sequence[str]) -> int:
        """The class of most of a cluster's images, of equals the first."""
        counts = self.classes(cluster)
        return min(counts, key=lambda label: (-counts[label], label))

    def by_class(self, ids: Iterable[str]) -> dict[int, list[tuple[str, ...]]]:
        """The clusters of these ids under their class."""
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
) -> tuple[str, ...]:
    """Draws a share of every class, whole clusters at a time.

    The clusters of a class are put into a random order; each that still fits into
    `floor(share · n + 0.5)` images is drawn, so that the number is met wherever the class has
    enough small clusters. At least one cluster is drawn and at least one left.

    Args:
      clusters: what must not be torn apart.
      ids: to draw from.
      share: of each class's n images, one for all classes or by label; in (0, 1).
      seed: of the order.
      purpose: makes two drawings with one seed independent.

    Returns:
      The ids drawn, sorted.

    Raises:
      UserError: a class has a single cluster.
    """
    drawn: list[str] = []
    for label, members in clusters.by_class(ids).items():
        total = sum(map(len, members))
        if len(members) < 2:
            what = "image" if total == 1 else "group of copies"
            raise UserError(
                f"the class {clusters.class_names[label]} of {clusters.source} has a single "
                f"training {what}, and validation or test needs one too; add images"
            )
        fraction = share[label] if isinstance(share, Mapping) else share
        wanted = min(max(math.floor(fraction * total + 0.5), 1), total - 1)
        shuffled = sorted(members, key=lambda cluster: _place(seed, purpose, cluster[0]))
        taken: list[str] = []
        for cluster in shuffled:  # fewer images than all are wanted, so one cluster is left
            if len(taken) + len(cluster) <= wanted:
                taken.extend(cluster)
        smallest = min(shuffled, key=len)
        drawn.extend(taken or smallest)  # every cluster may be larger than what is wanted
    return tuple(sorted(drawn))


def deal(clusters: Clusters, ids: Iterable[str], parts: int, seed: int) -> list[tuple[str, ...]]:
    """Deals all clusters into parts of nearly equal size in every class.

    Larger clusters first, in a random order among equals, each to the part that has the fewest
    images of its class so far (of equals, the fewest images).

    Args:
      clusters: what must not be torn apart.
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
                f"{len(members)} groups of copies, fewer than the {parts} folds; "
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
    """A place in a random order that depends on nothing but these."""
    key = f"{seed}\0{id}" if not purpose else f"{seed}\0{purpose}\0{id}"
    return sha256(key)
