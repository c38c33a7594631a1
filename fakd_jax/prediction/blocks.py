"""From files to rows, in blocks after each of which an output may end: here, or by workers."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

from fakd_jax.data.pixels.window import PixelRules
from fakd_jax.errors import UserError
from fakd_jax.prediction.file_list import ListedFile
from fakd_jax.prediction.reading import Reader, ReadImage, read_images
from fakd_jax.prediction.rows import Judge, Row
from fakd_jax.prediction.runtimes import OpenedNetwork, open_network
from fakd_jax.runtime.hashing import sha256_of_json
from fakd_jax.runtime.mapping import Mapper

BATCHES_AHEAD = 2
"""Batches of files that are read while the network computes one."""

BATCHES_PER_TASK = 4
"""Batches of files in a worker's task."""

MAX_WAITING = 1_024
"""Images and errors that wait for a batch to fill up."""


class Block(NamedTuple):
    """Consecutive rows, and how far they come.

    Attributes:
      rows: one or more.
      file: number of the last file whose rows are all there; of the one before the first if none.
      frame: number of images of the next file whose rows are there.
    """

    rows: list[Row]
    file: int
    frame: int


ComputeBlocks = Callable[
    [Iterator[ListedFile], int, Callable[[], object]], Generator[Block, None, None]
]
"""Files, the first image of the first file, and what to call for each file whose own grey levels
decided on its window, to the rows of all images in order."""


def blocks_here(
    network: OpenedNetwork,
    files: Iterator[ListedFile],
    first_frame: int,
    on_own_window: Callable[[], object],
) -> Generator[Block, None, None]:
    """Reads and computes in this process; see :data:`ComputeBlocks`."""
    reference, batch_size = network.reference, network.runtime.batch_size
    judge = Judge(network.runtime, network.class_names, network.decision, reference)
    quality = None if reference is None else reference.quality
    images = read_images(
        files,
        Reader(network.rules, network.image_size, quality),
        ahead=BATCHES_AHEAD * batch_size,
        first_frame=first_frame,
        on_own_window=on_own_window,
    )
    waiting: list[ReadImage] = []
    readable = 0
    for image in images:
        waiting.append(image)
        readable += image.pixels is not None
        if readable == batch_size or len(waiting) == MAX_WAITING:
            yield _block(waiting, judge)
            waiting, readable = [], 0
    if waiting:
        yield _block(waiting, judge)


def _block(images: Sequence[ReadImage], judge: Judge) -> Block:
    last = images[-1]
    if last.is_last:
        return Block(judge.rows(images), last.file.number, 0)
    return Block(judge.rows(images), last.file.number - 1, (last.frame or 0) + 1)


@dataclass(frozen=True)
class Recipe:
    """How a worker opens the network: see :func:`fakd_jax.prediction.runtimes.open_network`.

    Attributes:
      rules: see :class:`fakd_jax.prediction.runtimes.OpenedNetwork`.
      sha256: of the identity of the network that the worker must find.
    """

    checkpoint: str
    runtime: str
    batch_size: int
    dtype: str | None
    allow_untrained: bool
    rules: PixelRules
    sha256: str

    def open(self) -> OpenedNetwork:
        """Opens it.

        Raises:
          UserError: it is another network here.
        """
        network = open_network(
            self.checkpoint,
            runtime=self.runtime,
            batch_size=self.batch_size,
            dtype=self.dtype,
            allow_untrained=self.allow_untrained,
        )
        if network_sha256(network) != self.sha256:
            raise UserError(
                f"{self.checkpoint} on {socket.gethostname()} is another network than where the "
                "command was started; give a folder that all machines share"
            )
        return replace(network, rules=self.rules)


def network_sha256(network: OpenedNetwork) -> str:
    """The digest of what a network's rows depend on, beside the rules of pixels."""
    decision = network.decision and network.decision.to_dict()
    return sha256_of_json(
        [dict(network.identity), decision, network.foreign_threshold], sort_keys=True
    )


def blocks_elsewhere(
    recipe: Recipe,
    mapper: Mapper,
    files: Iterator[ListedFile],
    first_frame: int,
    on_own_window: Callable[[], object],
) -> Generator[Block, None, None]:
    """Has workers read and compute groups of files; see :data:`ComputeBlocks`.

    Files and checkpoint must be at the same paths on all machines.
    """
    for blocks, chose_window in mapper.map(
        predict_group, _groups(recipe, files, first_frame), threaded=False
    ):
        if chose_window:
            on_own_window()
        yield from blocks


def _groups(
    recipe: Recipe, files: Iterator[ListedFile], first_frame: int
) -> Iterator[tuple[Recipe, list[ListedFile], int]]:
    """The arguments of :func:`predict_group`; workers may have another working folder."""
    size = BATCHES_PER_TASK * recipe.batch_size
    while group := [file._replace(file=os.path.abspath(file.file)) for file in islice(files, size)]:
        yield recipe, group, first_frame
        first_frame = 0


def predict_group(
    recipe: Recipe, files: Sequence[ListedFile], first_frame: int
) -> tuple[list[Block], bool]:
    """What a worker does: the blocks of some files, and whether any chose its own window."""
    chose_window: list[bool] = []
    blocks = blocks_here(
        _opened(recipe), iter(files), first_frame, lambda: chose_window.append(True)
    )
    return [*blocks], bool(chose_window)


@functools.lru_cache(maxsize=1)
def _opened(recipe: Recipe) -> OpenedNetwork:
    """The network of this worker, opened once."""
    return recipe.open()
