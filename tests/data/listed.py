"""Data sets without images, for what only looks at ids and labels."""

from __future__ import annotations

from fakd_jax.data.dataset import Example, ImageDataset
from fakd_jax.runtime.hashing import sha256


def dataset_of(counts: dict[str, list[int]], fingerprint: str = "f" * 64) -> ImageDataset:
    """A data set without images, each of another content: `{split: [of class 0, class 1, …]}`."""
    examples = [
        Example(id := f"{split}/{label}/{index}.png", label, split, sha256(id)[:32])
        for split, numbers in counts.items()
        for label, number in enumerate(numbers)
        for index in range(number)
    ]
    dataset = object.__new__(ImageDataset)
    dataset.examples = tuple(sorted(examples, key=lambda example: example.id))
    dataset._indices = {example.id: index for index, example in enumerate(dataset.examples)}
    dataset.class_names = tuple("abcdefgh"[: len(next(iter(counts.values())))])
    dataset.fingerprint = fingerprint
    dataset.source = "somewhere"
    dataset.report = {}
    return dataset
