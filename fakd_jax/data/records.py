"""Images as array_record files: a TFDS builder, used without TensorFlow.

TFDS encodes arrays with TensorFlow but copies the bytes of a *path* as they are, so the generator
yields paths and the records store the files' bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds


@dataclass(frozen=True)
class Record:
    """An image to be written: its id, the file whose bytes are stored, its class name."""

    id: str
    path: Path
    label: str


class ImageFolders(tfds.core.GeneratorBasedBuilder):
    """Images by split and class as array_record, in the order given.

    Args:
      class_names: the classes, in the order of their labels.
      records: the images of every split.
      **kwargs: for :class:`tfds.core.GeneratorBasedBuilder`, above all `data_dir`.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(
        self,
        *,
        class_names: Sequence[str],
        records: Mapping[str, Sequence[Record]],
        **kwargs: Any,
    ) -> None:
        self._class_names = list(class_names)
        self._records = records
        super().__init__(file_format="array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Images sorted into folders by split and class.",
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Text(),
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "label": tfds.features.ClassLabel(names=self._class_names),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,  # position in the file = position in the sorted ids
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager  # nothing to download
        return {split: self._generate_examples(rows) for split, rows in self._records.items()}

    def _generate_examples(
        self, rows: Sequence[Record]
    ) -> Iterator[tuple[int, dict[str, str | Path]]]:
        for position, row in enumerate(rows):
            yield position, {"id": row.id, "image": row.path, "label": row.label}


def write_records(
    folder: Path, class_names: Sequence[str], records: Mapping[str, Sequence[Record]]
) -> Path:
    """Writes the records of every split below an empty folder.

    Args:
      folder: the empty folder.
      class_names: the classes, in the order of their labels.
      records: the images of every split, in the order wanted; no split may be empty.

    Returns:
      The folder for :func:`open_records`.
    """
    builder = ImageFolders(class_names=class_names, records=records, data_dir=folder)
    with redirect_stdout(StringIO()):  # TFDS would announce a download
        tfds.disable_progress_bar()
        builder.download_and_prepare(
            download_dir=folder / "downloads",
            download_config=tfds.download.DownloadConfig(try_download_gcs=False),
        )
    return Path(builder.data_dir)


def open_records(folder: Path, splits: Sequence[str]) -> dict[str, Any]:
    """Opens the records in the folder that :func:`write_records` returned, wherever it is now.

    Returns:
      For every split a random-access source of `{'id': bytes, 'image': bytes (the encoded file),
      'label': int}`; thread-safe and picklable. The images are left encoded, so that the package
      has one decoder, whatever TFDS finds installed.
    """
    builder = tfds.builder_from_directory(folder)
    decoders = {"image": tfds.decode.SkipDecoding()}
    return {split: builder.as_data_source(split=split, decoders=decoders) for split in splits}
