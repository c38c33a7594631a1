"""JSON files of checkpoints, runs and prepared data: wrong types everywhere, and damage."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakd_jax.data.appearance import Appearance
from fakd_jax.data.dataset import Description
from fakd_jax.data.pixels.window import FULL_RANGE, PixelRules
from fakd_jax.data.preparation import RECORDS_FORMAT
from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.data.sources import open_dataset
from fakd_jax.data.splits import Split
from fakd_jax.evaluation.baseline import IDENTITY, _provenance
from fakd_jax.experiment.record import RunRecord
from fakd_jax.experiment.resume import read_config, require_same_config
from fakd_jax.explanation.journal import read_entries, read_settings
from fakd_jax.models.checkpoint import load_metadata
from fakd_jax.runs.integrity import check_folder
from fakd_jax.runs.learnt_images import LearntImages
from fakd_jax.runs.position import read_position
from fakd_jax.runs.workdir import data_cache_dir, read_records, trained_dtype
from fakd_jax.runtime.sha256sums import damaged_files
from fuzzing.expected import only_user_errors, scratch

SHA = "0" * 64
METADATA: dict[str, Any] = {
    "format_version": 1,
    "arch": "resnet50",
    "num_classes": 2,
    "class_names": ["a", "b"],
    "overrides": {"batch_norm_momentum": 0.5},
    "preprocessing": Preprocessing(pixels=PixelRules(FULL_RANGE)).to_dict(),
    "appearance": Appearance(darkest=40, brightest=90, flattest=20).to_dict(),
    "negative_class": "a",
    "head": "trained",
    "source": {"step": 7, "compute_dtype": "float32"},
    "data": {"source": "phantom", "split": "official"},
    "config": {"name": "x", "dtype": "auto", "data": {"source": "phantom", "cache_dir": ""}},
    "learnt_from": {"train": SHA, "val": "", "complete": True},
    "package_version": "0",
}
_SPLIT = {
    "format_version": 3, "train": ["x"], "val": ["y"], "test": ["z"], "apart": [],
    "kind": "official", "seed": 0, "validation_fraction": 0.2, "fingerprint": SHA,
    "content": {"x": "1", "y": "2", "z": "3"}, "groups": {"x": 1}, "audit": None,
    "folds": None, "fold": None, "given_groups": None,
}  # fmt: skip
_DESCRIPTION = {
    "class_names": ["a", "b"], "fingerprint": SHA, "records": "records", "files": {},
    "examples": [["x", 0, "train", "1"], ["y", 1, "test", "2"]],
}  # fmt: skip
_CONFIG = {"seed": 0, "dtype": "auto", "data": {"source": "phantom"}}
_PROVENANCE = {**dict.fromkeys(IDENTITY, "x"), "data": {"fingerprint": SHA}}


def _read_metadata(file: Path) -> None:
    metadata = load_metadata(file.parent)
    if stored := metadata.get("preprocessing"):
        Preprocessing.from_dict(stored)
    Appearance.of_training(metadata)
    LearntImages.from_metadata(metadata)
    data_cache_dir(metadata)
    trained_dtype(metadata)


def _read_run(file: Path) -> None:
    read_config(file.parent)
    require_same_config({"seed": 0, "data": {"source": "phantom"}}, file.parent)


def _read_environment(file: Path) -> None:
    RunRecord(file.parent).begin({})


def _read_explanations(file: Path) -> None:
    read_settings(file.parent).items()


# Valid content of a file by its name, and what reads it.
READERS: dict[str, tuple[Any, Callable[[Path], object]]] = {
    "metadata.json": (METADATA, _read_metadata),
    "position.json": (
        {"early_stopping": {"best_step": 0}, "iterator": {}},
        lambda file: read_position(file.parent),
    ),
    "split.json": (_SPLIT, Split.load),
    "dataset.json": (_DESCRIPTION, lambda file: Description.load(file.parent)),
    "prepared.json": (
        {
            "format": RECORDS_FORMAT,
            "records": "records",
            "name": "x",
            "version": None,
            "source": "phantom",
            "folder": "f",
            "report": {},
        },
        lambda file: open_dataset(file.parent, cache_dir=file.parent / "cache"),
    ),
    "environment.json": (
        {"inputs": {"data.source": SHA}, "starts": [{"versions": {}}]},
        _read_environment,
    ),
    "config.json": (_CONFIG, _read_run),
    "metrics.json": ({"provenance": _PROVENANCE, "accuracy": 1.0}, _provenance),
    "settings.json": ({"method": "lime"}, _read_explanations),
    "metrics.jsonl": (
        {"phase": "student", "kind": "train", "step": 1, "loss": 0.5},
        lambda file: read_records(file.parent),
    ),
    "explanations.jsonl": ({"id": "x"}, lambda file: list(read_entries(file.parent))),
    "SHA256SUMS": (f"{SHA}  metadata.json\n", lambda file: damaged_files(file.parent)),
}

REPLACEMENTS: tuple[Any, ...] = (
    None, True, -1, 10**30, 1.5, float("nan"), float("inf"), "", "text", "\ud800", [], [[]],
    [1, None], {}, {"": {}},
)  # fmt: skip
_DROPPED = object()


def damaged(value: Any) -> Iterator[Any]:
    """Copies of a JSON value with one part dropped or replaced by each kind of value."""
    yield from REPLACEMENTS
    items = list(value.items() if isinstance(value, dict) else enumerate(value))
    for key, part in items:
        inner = damaged(part) if isinstance(part, dict | list) and part else REPLACEMENTS
        for changed in (_DROPPED, *inner):
            copied = dict(items) | {key: changed}
            kept = {k: v for k, v in copied.items() if v is not _DROPPED}
            yield kept if isinstance(value, dict) else list(kept.values())


def read(name: str, content: bytes) -> None:
    """Reads a file with its reader and with `fakd check`: success or a user error."""
    with scratch() as folder:
        file = folder / name
        file.write_bytes(content)
        (folder / "records").mkdir()
        with only_user_errors():
            READERS[name][1](file)
        file.write_bytes(content)
        with only_user_errors():
            list(check_folder(folder))


def as_bytes(name: str, value: Any) -> bytes:
    """The content of a file."""
    if name == "SHA256SUMS":
        return str(value).encode("utf-8", "surrogatepass")
    return (json.dumps(value) + "\n").encode()


_values = st.recursive(
    st.sampled_from(REPLACEMENTS) | st.text(max_size=5) | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@st.composite
def files(draw: Callable[..., Any]) -> tuple[str, bytes]:
    """The name of a file, and its valid content with some parts replaced."""
    name = draw(st.sampled_from(sorted(READERS)))
    content = as_bytes(name, _changed(draw, READERS[name][0]))
    if draw(st.integers(0, 3)) == 0:
        start = draw(st.integers(0, len(content)))
        return name, content[:start] + draw(st.binary(max_size=8)) + content[start + 1 :]
    return name, content


def _changed(draw: Callable[..., Any], value: Any) -> Any:
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 4)) == 0:
        return draw(_values)
    if isinstance(value, list):
        return [_changed(draw, value[0]), *value[1:]]
    key = draw(st.sampled_from(sorted(value)))
    kept = {name: part for name, part in value.items() if name != key}
    return kept if draw(st.booleans()) else {**kept, key: _changed(draw, value[key])}


@settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(files())
def _property(file: tuple[str, bytes]) -> None:
    read(*file)


def seeds() -> list[bytes]:
    """Bytes of which Hypothesis makes its choices."""
    check(bytes(64))  # Hypothesis draws up its tables of characters
    return [bytes((7 * number * k) % 256 for k in range(64)) for number in range(20)]


def check(data: bytes) -> None:
    """Lets Hypothesis make a file of these bytes, and reads it."""
    _property.hypothesis.fuzz_one_input(data)
