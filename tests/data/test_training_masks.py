"""Masks of training images: theirs alone, resized, in the batches of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakd_jax.data import masks as reading
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.mask_files import MaskFiles
from fakd_jax.data.pipeline import train_iterator
from fakd_jax.data.sources import OWN_MASKS, open_dataset, open_masks
from fakd_jax.data.training_masks import TrainingMasks
from fakd_jax.errors import UserError

SIZE = 6  # of images of 12 × 10 pixels


@pytest.fixture
def dataset(small_tree: Path, tmp_path: Path) -> ImageDataset:
    """Images of `small_tree`, all with a mask of their left half but two with an empty one."""
    for file in small_tree.rglob("*.png"):
        mask = np.zeros((12, 10), np.uint8)
        mask[:, :5] = 255 * (file.name != "002.png")
        target = tmp_path / "masks" / file.relative_to(small_tree)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(target)
    return open_dataset(small_tree, cache_dir=tmp_path / "cache", log=lambda line: None)


def test_masks_of_training_images_alone_are_opened(
    dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def read_mask(path: Path, *arguments: object) -> np.ndarray:
        opened.append(path.relative_to(tmp_path / "masks").with_suffix(".png").as_posix())
        return original(path, *arguments)

    original = reading.read_mask
    monkeypatch.setattr(reading, "read_mask", read_mask)
    for id in dataset.ids("test"):
        (tmp_path / "masks" / id).write_bytes(b"never to be opened")
    ids = dataset.ids("train")[1:]
    masks = TrainingMasks(MaskFiles(tmp_path / "masks"), dataset, ids, SIZE)
    assert sorted(opened) == sorted(ids)
    assert (len(masks), masks.num_images) == (4, 6)  # Training/a/002 and b/002 are empty
    left = dataset.index_of("Training/b/000.png"), dataset.index_of("Training/a/000.png")
    found = masks.read(np.array(left))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[0], np.tile([255, 255, 255, 0, 0, 0], (SIZE, 1)))
    assert not found[1].any()  # it was not asked for


def test_batches_have_the_masks_of_their_images(dataset: ImageDataset, tmp_path: Path) -> None:
    ids = dataset.ids("train")
    masks = TrainingMasks(MaskFiles(tmp_path / "masks"), dataset, ids, SIZE)
    arguments = {"batch_size": 3, "image_size": SIZE, "seed": 0}
    plain, outlined = (
        next(train_iterator(dataset, ids, **arguments, masks=one)) for one in (None, masks)
    )
    assert plain.keys() == {"image", "label", "index"}
    np.testing.assert_array_equal(outlined.pop("lesion"), masks.read(plain["index"]))
    np.testing.assert_array_equal(outlined.pop("lesion_chance"), masks.chances(plain["index"]))
    for name, values in plain.items():
        np.testing.assert_array_equal(outlined[name], values)


@pytest.mark.parametrize(
    ("healthy", "without"), [(None, 0.0), (1, pytest.approx(1 / 3))], ids=["all ill", "b healthy"]
)
def test_healthy_images_change_as_often_as_those_with_a_lesion_do_together(
    dataset: ImageDataset, tmp_path: Path, healthy: int | None, without: float
) -> None:
    ids = sorted(dataset.ids("train"))
    for id in ids[1:]:  # of a, 000 alone is outlined, one of three: the mask of 002 is empty
        if not id.endswith("002.png"):
            (tmp_path / "masks" / id).unlink()
    masks = TrainingMasks(MaskFiles(tmp_path / "masks"), dataset, ids, SIZE, healthy=healthy)
    chances = masks.chances(np.array([dataset.index_of(id) for id in ids]))
    of_a, of_b = (
        [float(c) for id, c in zip(ids, chances, strict=True) if id.startswith(f"Training/{name}/")]
        for name in "ab"
    )
    assert of_a == [1, 0, 0]
    assert of_b == [without] * 4


def test_the_fingerprint_is_that_of_the_masks(dataset: ImageDataset, tmp_path: Path) -> None:
    folder, ids = tmp_path / "masks", dataset.ids("train")
    before = TrainingMasks(MaskFiles(folder), dataset, ids, SIZE).fingerprint
    (folder / dataset.ids("test")[0]).unlink()
    assert TrainingMasks(MaskFiles(folder), dataset, ids, SIZE).fingerprint == before
    Image.fromarray(np.full((12, 10), 255, np.uint8)).save(folder / ids[0])
    assert TrainingMasks(MaskFiles(folder), dataset, ids, SIZE).fingerprint != before


def test_masks_that_fit_no_training_image_are_refused(
    dataset: ImageDataset, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="no lesion of any training image"):
        TrainingMasks(MaskFiles(tmp_path), dataset, dataset.ids("train"), SIZE)
    file = tmp_path / "masks" / dataset.ids("train")[0]
    Image.fromarray(np.full((9, 10), 255, np.uint8)).save(file)
    with pytest.raises(UserError, match="same size"):
        TrainingMasks(MaskFiles(tmp_path / "masks"), dataset, dataset.ids("train"), SIZE)


def test_masks_are_found_in_a_folder_with_the_data_or_in_an_archive(
    dataset: ImageDataset, tmp_path: Path
) -> None:
    import tarfile

    assert open_masks(OWN_MASKS, dataset).folder == dataset.folder / "masks"
    assert open_masks(str(tmp_path / "masks"), dataset).folder == tmp_path / "masks"
    with tarfile.open(tmp_path / "masks.tar", "w") as tar:
        tar.add(tmp_path / "masks", ".")
    unpacked = open_masks(
        str(tmp_path / "masks.tar"), dataset, cache_dir=tmp_path / "cache", log=lambda line: None
    )
    ids = dataset.ids("train")
    both = (unpacked, MaskFiles(tmp_path / "masks"))
    first, second = (TrainingMasks(files, dataset, ids, SIZE) for files in both)
    assert first.fingerprint == second.fingerprint
    with pytest.raises(UserError, match="no masks at"):
        open_masks(str(tmp_path / "nowhere"), dataset)
