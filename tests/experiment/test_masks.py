"""The masks of a run are those of its training images, and the same when it is resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakd_jax.data.sources import open_dataset
from fakd_jax.data.splits import Split, make_split
from fakd_jax.errors import UserError
from fakd_jax.experiment.layers import require_lesion_layers
from fakd_jax.experiment.masks import training_masks
from fakd_jax.experiment.record import ABSENT, RunRecord
from tests.tiny import tiny_config

LESIONS = {
    "distillation.terms.lesion_attention": 1.0,
    "distillation.lesion_layer": "features.2",
}


@pytest.fixture
def masks(data: Path, tmp_path: Path) -> Path:
    """A mask for every image of one class; those of test images are no images."""
    for file in sorted(data.glob("*/glioma/*.png")):
        target = tmp_path / "masks" / file.relative_to(data)
        target.parent.mkdir(parents=True, exist_ok=True)
        if "Training" in file.parts:
            Image.fromarray(np.full((40, 36), 255, np.uint8)).save(target)
        else:
            target.write_bytes(b"never to be opened")
    return tmp_path / "masks"


def test_masks_of_training_images_are_opened_and_pinned(
    data: Path, cache: Path, masks: Path, tmp_path: Path
) -> None:
    dataset = open_dataset(data, cache_dir=cache, log=lambda line: None)
    split: Split = make_split(dataset, kind="official", validation_fraction=0.2, seed=0)
    config = tiny_config("fakd", data, cache, **LESIONS, **{"data.lesion_masks": str(masks)})
    for id in split.val:
        if "glioma" in id:
            (masks / id).write_bytes(b"never to be opened")

    def open_masks(**changes: object) -> object:
        changed = tiny_config(
            "fakd", data, cache, **(LESIONS | {"data.lesion_masks": str(masks)} | changes)
        )
        return training_masks(changed, dataset, split, RunRecord(tmp_path))

    found = training_masks(config, dataset, split, RunRecord(tmp_path))
    assert found is not None
    assert (len(found), found.num_images) == (8, 32)
    assert RunRecord(tmp_path).inputs == {"data.lesion_masks": found.fingerprint}
    open_masks()
    with pytest.raises(UserError, match=r"config\.data\.lesion_masks gives other content"):
        open_masks(**{"distillation.terms.lesion_attention": 0.0})
    trained = next(id for id in split.train if "glioma" in id)
    Image.fromarray(255 * np.eye(40, 36, dtype=np.uint8)).save(masks / trained)
    with pytest.raises(UserError, match=r"config\.data\.lesion_masks gives other content"):
        open_masks()


def test_a_run_that_needs_none_opens_none(data: Path, cache: Path, tmp_path: Path) -> None:
    dataset = open_dataset(data, cache_dir=cache, log=lambda line: None)
    split = make_split(dataset, kind="official", validation_fraction=0.2, seed=0)
    config = tiny_config("fakd", data, cache, **{"data.lesion_masks": str(tmp_path / "nowhere")})
    assert training_masks(config, dataset, split, RunRecord(tmp_path)) is None
    assert RunRecord(tmp_path).inputs == {"data.lesion_masks": ABSENT}


def test_a_lesion_layer_that_the_student_lacks_is_refused(data: Path, cache: Path) -> None:
    changes = LESIONS | {"data.lesion_masks": "own", "distillation.lesion_layer": "features.12"}
    with pytest.raises(UserError, match="lesion_layer"):
        require_lesion_layers(tiny_config("fakd", data, cache, **changes))
    require_lesion_layers(tiny_config("fakd", data, cache))


@pytest.mark.slow
def test_the_recipe_runs_on_phantoms_with_their_masks(
    run: Callable[..., object], tmp_path: Path, cache: Path
) -> None:
    from fakd_jax.runs.workdir import read_records

    small = {
        "data.source": "phantom",
        "data.phantom.train_per_class": 10,
        "data.phantom.test_per_class": 2,
        "data.phantom.size": 40,
        "distillation.lesion_layer": "features.4",
        "distillation.right_reasons_layer": "features.4",
        "distillation.terms.lesion_attention": 1.0,
        "distillation.terms.right_reasons": 1.0,
        "teacher.num_epochs": 1,
        "student.num_epochs": 1,
    }
    run("lesions", tmp_path, **small)
    trained, validated = (
        next(r for r in read_records(tmp_path) if (r["phase"], r["kind"]) == ("student", kind))
        for kind in ("train", "val")
    )
    for term in ("lesion_attention", "right_reasons", "counterfactual"):
        assert trained[term] > 0
        assert validated[term] == 0
