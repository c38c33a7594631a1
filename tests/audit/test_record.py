"""Storing audits: found again, refused when damaged; groups and fingerprints by hand."""

from __future__ import annotations

import json
from dataclasses import replace
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
    """Prints nothing."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> ImageDataset:
    """Twelve phantoms and a copy of one file."""
    folder = tmp_path_factory.mktemp("data")
    write_phantoms(folder / "phantoms", train_per_class=2, test_per_class=1, size=64)
    copy, original = (folder / "phantoms" / name for name in COPIED)
    copy.write_bytes(original.read_bytes())
    return open_dataset(folder / "phantoms", cache_dir=folder / "cache", log=quiet)


@pytest.fixture(scope="module")
def stored(dataset: ImageDataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Audit, Path]:
    """The audit, and the cache that holds it."""
    cache = tmp_path_factory.mktemp("audits")
    return audit_duplicates(dataset, cache, quiet), cache


def test_an_audit_names_the_duplicates(dataset, stored):
    audit, _ = stored
    (pair,) = audit.pairs
    assert {pair.first, pair.second} == set(COPIED)
    assert pair.alteration == "identical file"
    assert list(audit.groups) == [example.id for example in dataset.examples]
    assert list(audit.members().values()) == [sorted(COPIED)]
    assert audit.data_fingerprint == dataset.fingerprint


def test_an_approximate_audit_is_another_one(dataset, stored, monkeypatch, tmp_path):
    exact, cache = stored
    monkeypatch.setattr("fakd_jax.audit.plan.EXACT_UP_TO", 12)
    assert find_audit(dataset, cache) is None
    lines = []
    audit = audit_duplicates(dataset, tmp_path, lines.append)
    assert "scratch files" in lines[1]
    assert find_audit(dataset, tmp_path) == audit
    assert audit.groups == exact.groups
    assert audit.method != exact.method
    assert audit.fingerprint != exact.fingerprint


def test_an_audit_is_found_again_for_these_data_only(dataset, stored, monkeypatch, tmp_path):
    audit, cache = stored
    assert find_audit(dataset, cache) == audit
    assert find_audit(dataset, tmp_path) is None
    monkeypatch.setattr("fakd_jax.audit.matching.search.find_duplicates", None)
    assert audit_duplicates(dataset, cache, quiet) == audit
    monkeypatch.setattr(dataset, "fingerprint", "0" * 64)
    assert find_audit(dataset, cache) is None


DAMAGES = {
    "no copies": lambda values: values.pop("copies"),
    "no groups": lambda values: values.pop("groups"),
    "no fingerprint": lambda values: values.pop("data_fingerprint"),
    "an image without a group": lambda values: values["groups"].popitem(),
    "a group of an unknown image": lambda values: values["groups"].update(nobody=99),
    "groups of another type": lambda values: values.update(groups=[0, 1]),
    "a copy with an unknown field": lambda values: values["copies"][0].update(new=1),
    "a copy without a field": lambda values: values["copies"][0].pop("first"),
    "copies of another type": lambda values: values.update(copies=3),
}


@pytest.mark.parametrize("damage", [*DAMAGES, b"", b"{", b"[]", b"null", b"\xff\xfe"])
def test_a_damaged_file_is_an_error_of_one_line(dataset, stored, tmp_path, damage):
    (file,) = (stored[1] / "audits").iterdir()
    content = damage
    if damage in DAMAGES:
        values = json.loads(file.read_text())
        DAMAGES[damage](values)
        content = json.dumps(values).encode()
    damaged = tmp_path / "audits" / file.name
    damaged.parent.mkdir()
    damaged.write_bytes(content)
    for use in (find_audit, audit_duplicates):
        with pytest.raises(UserError, match="is damaged") as raised:
            use(dataset, tmp_path)
        assert str(damaged) in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_cache_that_cannot_be_written_is_an_error(dataset, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        audit_duplicates(dataset, tmp_path / "file", quiet)


def audit_of(groups: dict[str, int]) -> Audit:
    return Audit(data_fingerprint="d", pairs=(), rejected=(), groups=groups)


def test_the_fingerprint_depends_on_data_groups_and_method_alone():
    plain = audit_of({"a": 0, "b": 1, "c": 0})
    pair = Pair("a", "c", "as it is", "re-encoded", 0.99, 0.98)
    for same in (audit_of({"c": 0, "b": 1, "a": 0}), replace(plain, pairs=(pair,))):
        assert same.fingerprint == plain.fingerprint
    others = [{"a": 0, "b": 0, "c": 0}, {"a": 0, "b": 1, "d": 0}]
    for other in (*map(audit_of, others), replace(plain, data_fingerprint="e")):
        assert other.fingerprint != plain.fingerprint
    assert replace(plain, method="another").fingerprint != plain.fingerprint


def test_members_are_of_groups_of_two_or_more():
    audit = audit_of({"e": 4, "d": 2, "a": 4, "b": 1, "c": 2})
    assert audit.members() == {2: ["c", "d"], 4: ["a", "e"]}
    assert audit_of({"a": 0, "b": 1}).members() == {}


def test_with_duplicate_in_by_hand():
    audit = audit_of({"a": 0, "b": 0, "c": 1, "d": 1, "e": 2, "f": 0})
    assert audit.with_duplicate_in(["a", "c", "e"], ["b", "e"]) == {"a"}
    assert audit.with_duplicate_in(["a", "c", "e"], ["a", "c", "e"]) == set()
    assert audit.with_duplicate_in(["a", "b"], ["a"]) == {"b"}
    assert audit.with_duplicate_in(["a", "c", "d"], ["f", "c"]) == {"a", "d"}
    assert audit.with_duplicate_in([], ["a"]) == set()
    assert audit.with_duplicate_in(["a"], []) == set()
