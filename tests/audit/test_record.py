from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakd_jax.audit.matching.pairs import Pair
from fakd_jax.audit.record import Audit, audit_duplicates, find_audit
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.phantom.dataset import write_phantoms
from fakd_jax.data.sources import open_dataset
from fakd_jax.errors import UserError

COPIED = ("Training/glioma/copy.png", "Training/glioma/Tr-glioma_0001.png")


def quiet(line: str) -> None:
    """Tells nobody."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> ImageDataset:
    """Twelve phantoms and one file once more."""
    folder = tmp_path_factory.mktemp("data")
    write_phantoms(folder / "phantoms", train_per_class=2, test_per_class=1, size=64)
    copy, original = (folder / "phantoms" / name for name in COPIED)
    copy.write_bytes(original.read_bytes())
    return open_dataset(folder / "phantoms", cache_dir=folder / "cache", log=quiet)


@pytest.fixture(scope="module")
def made(dataset: ImageDataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Audit, Path]:
    """The audit, and the folder in which it is kept."""
    cache = tmp_path_factory.mktemp("audits")
    return audit_duplicates(dataset, cache, quiet), cache


def kept_file(cache: Path) -> Path:
    (file,) = (cache / "audits").iterdir()
    return file


def test_an_audit_names_the_copies(dataset, made):
    audit, _ = made
    (copy,) = audit.pairs
    assert {copy.first, copy.second} == set(COPIED)
    assert copy.alteration == "identical file"
    assert list(audit.groups) == [example.id for example in dataset.examples]
    assert list(audit.members().values()) == [sorted(COPIED)]
    assert audit.data_fingerprint == dataset.fingerprint


def test_an_audit_is_kept_and_found_again(dataset, made, monkeypatch):
    audit, cache = made
    assert find_audit(dataset, cache) == audit
    monkeypatch.setattr("fakd_jax.audit.matching.search.find_duplicates", None)
    assert audit_duplicates(dataset, cache, quiet) == audit


def test_what_was_never_audited_is_not_found(dataset, tmp_path):
    assert find_audit(dataset, tmp_path) is None


def test_other_data_have_another_audit(dataset, made, monkeypatch):
    _, cache = made
    monkeypatch.setattr(dataset, "fingerprint", "0" * 64)
    assert find_audit(dataset, cache) is None


def without(key: str):
    def change(values: dict) -> None:
        del values[key]

    return change


DAMAGES = {
    "no copies": without("copies"),
    "no groups": without("groups"),
    "no fingerprint": without("data_fingerprint"),
    "an image without a group": lambda values: values["groups"].popitem(),
    "a group of no image": lambda values: values["groups"].update(nobody=99),
    "groups of another kind": lambda values: values.update(groups=[0, 1]),
    "a copy with an unknown field": lambda values: values["copies"][0].update(new=1),
    "a copy without a field": lambda values: values["copies"][0].pop("first"),
    "copies of another kind": lambda values: values.update(copies=3),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_told(dataset, made, tmp_path, damage):
    _, cache = made
    kept = kept_file(cache)
    values = json.loads(kept.read_text())
    DAMAGES[damage](values)
    (tmp_path / "audits").mkdir()
    file = tmp_path / "audits" / kept.name
    file.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"is damaged .*delete it and run again") as told:
        find_audit(dataset, tmp_path)
    assert str(file) in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe"])
def test_a_file_that_is_no_audit_is_told(dataset, made, tmp_path, content):
    (tmp_path / "audits").mkdir()
    (tmp_path / "audits" / kept_file(made[1]).name).write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        audit_duplicates(dataset, tmp_path, quiet)


def test_a_folder_that_cannot_be_written_is_told(dataset, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        audit_duplicates(dataset, tmp_path / "file", quiet)


def audit_of(groups: dict[str, int], data: str = "d") -> Audit:
    return Audit(data_fingerprint=data, pairs=(), rejected=(), groups=groups)


def test_the_fingerprint_is_of_the_data_and_the_groups(monkeypatch):
    plain = audit_of({"a": 0, "b": 1, "c": 0})
    assert plain.fingerprint == audit_of({"c": 0, "b": 1, "a": 0}).fingerprint
    assert plain.fingerprint != audit_of({"a": 0, "b": 0, "c": 0}).fingerprint
    assert plain.fingerprint != audit_of({"a": 0, "b": 1, "d": 0}).fingerprint
    assert plain.fingerprint != audit_of({"a": 0, "b": 1, "c": 0}, data="e").fingerprint
    pair = Pair("a", "c", "as it is", "re-encoded", 0.99, 0.98)
    described = Audit("d", (pair,), (), {"a": 0, "b": 1, "c": 0})
    assert plain.fingerprint == described.fingerprint
    before = plain.fingerprint
    monkeypatch.setattr("fakd_jax.audit.record.METHOD", "another")
    assert plain.fingerprint != before


def test_members_are_of_groups_of_two_or_more():
    audit = audit_of({"e": 4, "d": 2, "a": 4, "b": 1, "c": 2})
    assert audit.members() == {2: ["c", "d"], 4: ["a", "e"]}
    assert audit_of({"a": 0, "b": 1}).members() == {}


def test_with_copy_in_by_hand():
    audit = audit_of({"a": 0, "b": 0, "c": 1, "d": 1, "e": 2, "f": 0})
    assert audit.with_duplicate_in(["a", "c", "e"], ["b", "e"]) == {"a"}
    assert audit.with_duplicate_in(["a", "c", "e"], ["a", "c", "e"]) == set()
    assert audit.with_duplicate_in(["a", "b"], ["a"]) == {"b"}
    assert audit.with_duplicate_in(["a", "c", "d"], ["f", "c"]) == {"a", "d"}
    assert audit.with_duplicate_in([], ["a"]) == set()
    assert audit.with_duplicate_in(["a"], []) == set()
