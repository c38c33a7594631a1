"""The model checkpoint: round trips, strictness, atomicity, and finding what a user means."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from fakd_jax.errors import DamagedError, UserError
from fakd_jax.models import checkpoint as serialization
from fakd_jax.models.checkpoint import (
    build_model,
    load_metadata,
    load_model,
    resolve_checkpoint,
    save_model,
)
from fakd_jax.models.state import flatten_state, model_state, set_model_state, unflatten_state
from fakd_jax.runtime.sha256sums import damaged_files, write_sums


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
    assert METADATA.items() <= metadata.items()
    assert metadata["format_version"] == 2
    assert metadata["array_sha256"]["model"].keys() == flatten_state(state).keys()
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(state))
    assert set_model_state(target, state) == []
    assert_same(model_state(source), model_state(target))
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["b"]
    names = {path.name for path in (tmp_path / "a" / "b").iterdir()}
    assert names == {"SHA256SUMS", "metadata.json", "model"}


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


@settings(max_examples=10)
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


def test_a_checkpoint_is_on_the_disk_before_the_old_one_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    def record(event: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def recording(path: Any, *arguments: Any, **keywords: Any) -> Any:
            # A descriptor, of a file to be synced, by the path that it has now.
            name = os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else str(path)
            events.append(f"{event} {Path(name).relative_to(tmp_path)}")
            return call(path, *arguments, **keywords)

        return recording

    folder = save_tiny(tmp_path / "m")
    monkeypatch.setattr(os, "fsync", record("sync", os.fsync))
    monkeypatch.setattr(Path, "rename", record("rename", Path.rename))
    monkeypatch.setattr(shutil, "rmtree", record("remove", shutil.rmtree))
    save_tiny(folder)
    moved = events.index("rename .m.saving")
    synced = set(events[:moved])
    written = [folder, *folder.rglob("*")]
    names = [path.relative_to(tmp_path).as_posix().replace("m", ".m.saving", 1) for path in written]
    assert {f"sync {name}" for name in names} <= synced
    assert events[moved:] == ["rename .m.saving", "sync .", "remove .m.replaced"]


def test_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the checkpoint"):
        save_model(tmp_path / "file" / "m", model_state(Net(0)), METADATA)


def test_a_failed_write_of_arrays_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(folder: Path, state: object) -> None:
        raise ValueError('PERMISSION_DENIED: "d/a": Permission denied')

    monkeypatch.setattr(serialization, "write_arrays", denied)
    with pytest.raises(UserError, match="Permission denied"):
        save_model(tmp_path / "m", model_state(Net(0)), METADATA)


def test_wrong_folders_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no model checkpoint in .*metadata\.json"):
        load_model(tmp_path / "nowhere")
    save_model(tmp_path / "m", model_state(Net(0)), METADATA)
    file = tmp_path / "m" / "metadata.json"
    good = json.loads(file.read_text())
    for text, message in [
        ("{", r"damaged or incomplete: metadata\.json changed;"),
        (
            json.dumps({**good, "arch": "resnet50"}),
            r"damaged or incomplete: metadata\.json changed;",
        ),
    ]:
        file.write_text(text)
        with pytest.raises(DamagedError, match=message):
            load_metadata(tmp_path / "m")
    (tmp_path / "m" / "SHA256SUMS").unlink()
    for text, message in [
        ("{", "cannot be read"),
        (json.dumps(good), r"damaged or incomplete: SHA256SUMS is missing"),
        ("[]", "is not metadata of a fakd_jax model"),
        (json.dumps({"arch": "x"}), "is not metadata of a fakd_jax model"),
        (json.dumps({**good, "format_version": 99}), "has format 99"),
    ]:
        file.write_text(text)
        with pytest.raises(UserError, match=message):
            load_metadata(tmp_path / "m")


def save_tiny(folder: Path) -> Path:
    arrays = {"a": np.arange(3.0), "b": np.full((2, 2), 7, np.int32)}
    save_model(folder, {"params": arrays, "batch_stats": {"mean": np.float32(1)}}, METADATA)
    return folder


@pytest.mark.parametrize("victim", ["model", "model/_METADATA", "model/d", "SHA256SUMS"])
def test_a_missing_part_is_named(tmp_path: Path, victim: str) -> None:
    path = save_tiny(tmp_path / "m") / victim
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DamagedError, match=rf"damaged or incomplete: .*{victim}\S* is missing"):
        load_model(tmp_path / "m")


def test_files_that_nobody_wrote(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m")
    (folder / ".DS_Store").write_text("")
    load_model(folder)
    (folder / "model" / "more").write_text("")
    with pytest.raises(DamagedError, match=r"model/more is not listed in SHA256SUMS"):
        load_model(folder)


def test_arrays_that_are_not_those_written_are_named(tmp_path: Path) -> None:
    """Even where all files are as they were written: what counts is what was decoded."""
    folder = save_tiny(tmp_path / "m")
    other = {"a": np.arange(3.0)[::-1], "b": np.full((2, 2), 7, np.int64), "c": np.zeros(1)}
    shutil.rmtree(folder / "model")
    serialization.write_arrays(folder / "model", {"params": other})
    write_sums(folder)
    with pytest.raises(DamagedError) as caught:
        load_model(folder)
    found = re.findall(r"the array model:(\S+) changed", str(caught.value))
    assert found == ["batch_stats.mean", "params.a", "params.b", "params.c"]


def test_the_array_with_the_changed_bit_is_named(tmp_path: Path) -> None:
    names = [f"{kind}/{index}" for kind in ("mu", "nu") for index in range(3)]
    generator = np.random.default_rng(0)
    arrays = {name: generator.integers(0, 256, 5000, np.uint8) for name in names}
    folder = tmp_path / "m"
    serialization.write_checkpoint(folder, {"training": arrays}, METADATA)
    needle = arrays["mu/2"][1000:1050].tobytes()
    (file,) = (p for p in folder.rglob("*") if p.is_file() and needle in p.read_bytes())
    content = bytearray(file.read_bytes())
    content[content.index(needle)] ^= 16
    file.write_bytes(content)
    name = file.relative_to(folder)
    message = rf"incomplete: {name} changed; the array training:mu/2 (changed|cannot be read); copy"
    with pytest.raises(DamagedError, match=message):
        serialization.read_checkpoint(folder, ["training"])


def test_a_changed_bit_is_found_wherever_it_is(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    generator = np.random.default_rng(0)
    for file in files:
        content = file.read_bytes()
        for position in generator.integers(8 * len(content), size=3):
            flipped = bytearray(content)
            flipped[position // 8] ^= 1 << position % 8
            file.write_bytes(flipped)
            assert damaged_files(folder) != [], (file.name, position)
        with pytest.raises(DamagedError, match="damaged or incomplete"):
            load_model(folder)
        file.write_bytes(content)
    load_model(folder)


def test_the_format_without_digests_is_read_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serialization.LOGGER, "propagate", True)
    folder = save_tiny(tmp_path / "m")
    (folder / "SHA256SUMS").unlink()
    (folder / "metadata.json").write_text(json.dumps({**METADATA, "format_version": 1}))
    state, metadata = load_model(folder)
    np.testing.assert_array_equal(state["params"]["a"], np.arange(3.0))
    assert metadata == {**METADATA, "format_version": 1}
    (message,) = caplog.messages
    assert f"{folder} was written by an earlier version" in message


def checkpoint(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "metadata.json").write_text("{}")
    return folder


def test_resolve_checkpoint(tmp_path: Path) -> None:
    checkpoint(tmp_path / "student/best/9")
    newest = checkpoint(tmp_path / "student/best/10")
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


def test_a_damaged_newest_checkpoint_is_not_passed_over(tmp_path: Path) -> None:
    checkpoint(tmp_path / "student/best/9")
    (tmp_path / "student/best/11").mkdir()
    with pytest.raises(DamagedError, match=r"best/11: it has no metadata\.json"):
        load_metadata(resolve_checkpoint(tmp_path))


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


def test_without_room_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shutil._ntuple_diskusage(total=1000, used=990, free=10)
    monkeypatch.setattr(serialization.shutil, "disk_usage", lambda path: full)
    monkeypatch.setattr(serialization, "write_arrays", pytest.fail)
    with pytest.raises(UserError, match="No space left on device"):
        save_model(tmp_path / "m", {"params": {"kernel": np.zeros(3, np.float32)}}, {})
    assert list(tmp_path.iterdir()) == []
