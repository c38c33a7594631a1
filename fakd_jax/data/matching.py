"""Recognises images by their content, whatever their names are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping


def match_by_content(wanted: Mapping[str, str], present: Mapping[str, str]) -> dict[str, str]:
    """Pairs images of the same content, one to one.

    An image that has kept its id and its content is paired with itself. Of several images with the
    same content, the first by id are paired with the first.

    Args:
      wanted: the content by id, see :func:`fakd_jax.data.dataset.content_of`.
      present: likewise, of other data.

    Returns:
      The id in `present` of every wanted id that is found.

    >>> match_by_content({"a": "1", "b": "2", "c": "3"}, {"b": "2", "x": "1", "c": "4"})
    {'a': 'x', 'b': 'b'}
    """
    kept = {id for id, content in wanted.items() if present.get(id) == content}
    others: dict[str, list[str]] = defaultdict(list)
    for id in sorted(present, reverse=True):
        if id not in kept:
            others[present[id]].append(id)
    pairs = {}
    for id in sorted(wanted):
        if id in kept:
            pairs[id] = id
        elif same := others.get(wanted[id]):
            pairs[id] = same.pop()
    return pairs
