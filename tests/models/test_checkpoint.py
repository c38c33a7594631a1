"""The model checkpoint: round trips, strictness, atomicity, and finding what a user means."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from fakd_jax.errors import UserError
from fakd_jax.models import checkpoint as serialization
from fakd_jax.models.checkpoint import (
    build_model,
    load_metadata,
    load_model,
    resolve_checkpoint,
    save_model,
)
from fakd_jax.models.state import flatten_state, model_state, set_model_state, unflatten_state


class Net(nnx.Module):
    """A list, a batch norm, an absent submodule and a head: every shape of path there is."""

    def __init__(self, seed: int, classes: int = 3) -> None:
        rngs = nnx.Rngs(seed)
        self.layers = nnx.List([nnx.Linear(2, 3, rngs=rngs), nnx.BatchNorm(3, rngs=rngs)])
        self.downsample = None
        self.fc = nnx.Linear(3, classes, rngs=rngs)
        self.fc2 = nnx.Linear(3, classes, rngs=rngs)


METADATA = {"arch": "tiny_resnet", "num_classes": 3}


def leaves(tree: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def assert_same(left: Any, right: Any) -> None:
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for a, b in zip(leaves(left), leaves(right), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


def numpy_state(seed: int) -> dict[str, Any]:
    return jax.tree.map(np.asarray, model_state(Net(seed)))


def test_state_is_plain_with_string_keys() -> None:
    state = model_state(Net(0))
    assert set(state) == {"params", "batch_stats"}
    assert set(state["params"]) == {"layers", "fc", "fc2"}
    assert set(state["params"]["layers"]) == {"0", "1"}
    assert set(state["batch_stats"]["layers"]["1"]) == {"mean", "var"}


def test_round_trip_through_a_folder(tmp_path: Path) -> None:
    source, target = Net(0), Net(1)
    source.layers[1].mean[...] = jnp.array([1.0, 2.0, 3.0])
    save_model(tmp_path / "a" / "b", model_state(source), METADATA)
    state, metadata = load_model(tmp_path / "a" / "b")
    assert metadata == {"format_version": 1, **METADATA}
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(state))
    assert set_model_state(target, state) == []
    assert_same(model_state(source), model_state(target))
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["b"]
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == ["metadata.json", "model"]


def test_no_placement_is_stored(tmp_path: Path) -> None:
    """What a GPU wrote opens on a CPU: the files name no device."""
    state = jax.device_put(model_state(Net(0)), jax.devices()[0])
    save_model(tmp_path / "m", state, METADATA)
    text = b"".join(p.read_bytes() for p in (tmp_path / "m").rglob("*") if p.is_file())
    assert b"SingleDeviceSharding" not in text
    assert b"cpu:0" not in text
    assert b"TFRT_CPU" not in text


def test_values_take_the_models_dtype() -> None:
    model, tree = Net(0), numpy_state(1)
    tree["params"]["fc"]["kernel"] = tree["params"]["fc"]["kernel"].astype(np.float64)
    set_model_state(model, tree)
    assert model.fc.kernel.dtype == jnp.float32


def test_every_offender_in_one_error_and_model_unchanged() -> None:
    model, tree = Net(0), numpy_state(1)
    before = numpy_state(0)
    del tree["params"]["fc"]["bias"]
    del tree["batch_stats"]["layers"]["1"]["var"]
    tree["params"]["other"] = {"kernel": np.zeros(3)}
    tree["params"]["fc2"]["kernel"] = np.zeros((3, 7), np.float32)
    with pytest.raises(UserError) as caught:
        set_model_state(model, tree)
    message = str(caught.value)
    assert "\n" not in message
    assert "missing: batch_stats.layers.1.var, params.fc.bias;" in message
    assert "extra: params.other.kernel" in message
    assert "params.fc2.kernel has (3, 7), the model (3, 3)" in message
    assert_same(jax.tree.map(np.asarray, model_state(model)), before)


def test_allow_missing_is_a_prefix_of_whole_parts() -> None:
    model, tree = Net(0), numpy_state(1)
    del tree["params"]["fc"]
    assert set_model_state(model, tree, allow_missing=["fc"]) == [
        "params.fc.bias",
        "params.fc.kernel",
    ]
    np.testing.assert_array_equal(model.fc.kernel[...], Net(0).fc.kernel[...])
    np.testing.assert_array_equal(model.fc2.kernel[...], Net(1).fc2.kernel[...])
    del tree["params"]["fc2"]
    with pytest.raises(UserError, match=r"missing: params\.fc2\.bias, params\.fc2\.kernel;"):
        set_model_state(model, tree, allow_missing=["fc"])


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_any_set_of_dropped_and_added_paths_is_listed(data: st.DataObject) -> None:
    tree = numpy_state(1)
    paths = sorted(flatten_state(tree))
    dropped = data.draw(st.sets(st.sampled_from(paths)))
    added = data.draw(st.sets(st.from_regex(r"[a-z]{3,8}", fullmatch=True), max_size=3))
    added = {f"params.extra.{name}" for name in added}
    leaves = flatten_state(tree) | dict.fromkeys(added, np.zeros(1))
    kept = unflatten_state({path: leaf for path, leaf in leaves.items() if path not in dropped})
    if not dropped | added:
        assert set_model_state(Net(0), kept) == []
        return
    with pytest.raises(UserError) as caught:
        set_model_state(Net(0), kept)
    for path in dropped | added:
        assert path in str(caught.value)


def test_replacing_leaves_nothing_behind(tmp_path: Path) -> None:
    for seed in (0, 1):
        save_model(tmp_path / "m", model_state(Net(seed)), METADATA)
    assert_same(load_model(tmp_path / "m")[0], numpy_state(1))
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("breaks_at", ["arrays", "first rename", "second rename"])
def test_an_interrupted_save_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks_at: str
) -> None:
    save_model(tmp_path / "m", model_state(Net(0)), METADATA)
    renames: list[Path] = []
    rename, write = Path.rename, serialization.write_arrays

    def broken_write(folder: Path, state: dict[str, Any]) -> None:
        write(folder, state)
        raise KeyboardInterrupt

    def broken_rename(self: Path, target: Path) -> Path:
        renames.append(self)
        if len(renames) == (1 if breaks_at == "first rename" else 2):
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        if breaks_at == "arrays":
            patch.setattr(serialization, "write_arrays", broken_write)
        else:
            patch.setattr(Path, "rename", broken_rename)
        with pytest.raises(KeyboardInterrupt):
            save_model(tmp_path / "m", model_state(Net(1)), METADATA)
    assert_same(load_model(tmp_path / "m")[0], numpy_state(0))
    assert_same(load_model(resolve_checkpoint(tmp_path / "m"))[0], numpy_state(0))
    save_model(tmp_path / "m", model_state(Net(2)), METADATA)
    assert_same(load_model(tmp_path / "m")[0], numpy_state(2))
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the checkpoint"):
        save_model(tmp_path / "file" / "m", model_state(Net(0)), METADATA)


def test_wrong_folders_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no model checkpoint in .*metadata\.json"):
        load_model(tmp_path / "nowhere")
    save_model(tmp_path / "m", model_state(Net(0)), METADATA)
    file = tmp_path / "m" / "metadata.json"
    good = json.loads(file.read_text())
    for text, message in [
        ("{", "cannot be read"),
        ("[]", "is not metadata of a fakd_jax model"),
        (json.dumps({"arch": "x"}), "is not metadata of a fakd_jax model"),
        (json.dumps({**good, "format_version": 99}), "has format 99"),
    ]:
        file.write_text(text)
        with pytest.raises(UserError, match=message):
            load_metadata(tmp_path / "m")


@pytest.mark.parametrize("victim", ["model", "model/_METADATA", "model/d"])
def test_a_damaged_checkpoint(tmp_path: Path, victim: str) -> None:
    # One array only: of several that fail at once, Orbax leaves the others' errors to a warning.
    save_model(tmp_path / "m", {"params": {"a": np.ones(3)}, "batch_stats": {}}, METADATA)
    path = tmp_path / "m" / victim
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(UserError, match="damaged or incomplete"):
        load_model(tmp_path / "m")


def checkpoint(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "metadata.json").write_text("{}")
    return folder


def test_resolve_checkpoint(tmp_path: Path) -> None:
    checkpoint(tmp_path / "student/best/9")
    newest = checkpoint(tmp_path / "student/best/10")
    (tmp_path / "student/best/11").mkdir()  # nothing in it: not a checkpoint
    checkpoint(tmp_path / "student/best/.12.saving")
    last = checkpoint(tmp_path / "student/last/12")
    teacher = checkpoint(tmp_path / "teacher/best/3")
    for given_path, found in [
        (tmp_path, newest),
        (tmp_path / "student", newest),
        (tmp_path / "student/best", newest),
        (tmp_path / "student/last", last),
        (tmp_path / "teacher", teacher),
        (tmp_path / "student/best/9", tmp_path / "student/best/9"),
    ]:
        assert resolve_checkpoint(given_path) == found


def test_resolve_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint folder"):
        resolve_checkpoint(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"student/best/<step>/metadata\.json"):
        resolve_checkpoint(tmp_path)
    checkpoint(tmp_path / "teacher/best/3")
    with pytest.raises(UserError, match=r"there is a teacher: give .*teacher"):
        resolve_checkpoint(tmp_path)


@pytest.mark.parametrize("arch", ["tiny_resnet", "tiny_mobilenet"])
def test_build_model_gives_the_saved_network(tmp_path: Path, arch: str) -> None:
    from fakd_jax.models import create_model

    model = create_model(arch, num_classes=3, rngs=nnx.Rngs(1), batch_norm_momentum=0.5)
    facts = {"arch": arch, "num_classes": 3, "overrides": {"batch_norm_momentum": 0.5}}
    save_model(tmp_path / "m", model_state(model), facts)
    built, metadata = build_model(tmp_path / "m", num_classes=3)
    assert metadata["arch"] == arch
    assert_same(model_state(model), model_state(built))
    assert nnx.graphdef(model) == nnx.graphdef(built)
    with pytest.raises(UserError, match="has 3 classes, 4 are needed"):
        build_model(tmp_path / "m", num_classes=4)
