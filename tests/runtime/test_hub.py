"""Bundles pulled by the real client from a server that imitates the Hub."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("huggingface_hub")

from fakd_jax.errors import DamagedError, UserError
from fakd_jax.experiment.teacher_checks import teacher_checkpoint
from fakd_jax.models.checkpoint import load_model, resolve_checkpoint
from fakd_jax.models.state import flatten_state
from fakd_jax.models.torch_weights.pretrained import checkpoint_folder
from fakd_jax.prediction.runtimes import find_onnx
from fakd_jax.runtime.hub import HubReference, local_path, names_hub, pull_bundle
from tests.hub_server import TOKEN, FakeHub, Repository, fake_hub, use_hub
from tests.tiny import contents, save_tiny_checkpoint, write_image

REFERENCE = "hf://ann/tumours"
REPOSITORY = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("run")) / "student" / "best" / "7"


@pytest.fixture
def hub(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A Hub with a public bundle, in which somebody has put files of other kinds."""
    with fake_hub() as hub:
        hub.repositories["ann/tumours"] = Repository(private=False)
        more = {".gitattributes": b"*.bin filter=lfs\n", "LICENSE": b"mine", "notes/x.bin": b"\0"}
        hub.repositories["ann/tumours"].commit(contents(checkpoint) | more)
        use_hub(hub, tmp_path / "cache", monkeypatch)
        yield hub


def refusal(reference: str) -> str:
    """The message with which a reference is refused: one line that names what was asked for."""
    with pytest.raises(UserError) as raised:
        resolve_checkpoint(reference)
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < 600
    assert TOKEN not in message
    return message


@pytest.mark.parametrize("reference", ["hf://ann/tumours", "hf:/ann/tumours"])
def test_references(reference: str) -> None:
    assert names_hub(reference)
    assert HubReference.parse(reference) == HubReference("ann/tumours")
    assert HubReference.parse(Path(reference)) == HubReference("ann/tumours")
    tagged = HubReference.parse(f"{reference}@refs/pr/1")
    assert (tagged.repo, tagged.revision) == ("ann/tumours", "refs/pr/1")
    assert str(tagged) == "hf://ann/tumours@refs/pr/1"


@pytest.mark.parametrize(
    "text",
    ["hf://", "hf://tumours", "hf://a/b/c", "hf://a/b@", "hf://a/b @x", "hf:///b", "hf://a/b.git"],
)
def test_malformed_references(hub: FakeHub, text: str) -> None:
    assert text in refusal(text)
    assert not hub.requests


def test_other_paths_are_left_alone(tmp_path: Path) -> None:
    assert local_path(tmp_path) == tmp_path
    assert not names_hub("hf_bundle")


def test_what_is_pulled(hub: FakeHub, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    oid = hub.repositories["ann/tumours"].commits[-1][0]
    pulled = resolve_checkpoint(REFERENCE)
    assert pulled.name == oid
    assert capsys.readouterr().out == f"checkpoint: hf://ann/tumours@{oid}\n"
    assert contents(pulled) == contents(checkpoint)  # nothing that is not listed
    arrays, original = (flatten_state(load_model(path)[0]) for path in (pulled, checkpoint))
    assert arrays.keys() == original.keys()
    for name, value in original.items():
        np.testing.assert_array_equal(arrays[name], value)
    asked = len(hub.requests)
    assert checkpoint_folder(REFERENCE) == pulled
    assert teacher_checkpoint(REFERENCE) == pulled
    assert find_onnx(REFERENCE) is None
    assert len(hub.requests) == asked  # once per process


def test_revisions(hub: FakeHub, checkpoint: Path) -> None:
    repository = hub.repositories["ann/tumours"]
    first = repository.commits[-1][0]
    second = repository.commit(contents(checkpoint) | {"README.md": b"# again\n"})
    assert resolve_checkpoint(REFERENCE).name == second
    assert resolve_checkpoint(f"{REFERENCE}@{first}").name == first
    assert "abandoned" in refusal(f"{REFERENCE}@abandoned")


def test_without_a_connection_the_cache_is_used(hub: FakeHub, checkpoint: Path) -> None:
    oid = hub.repositories["ann/tumours"].commits[-1][0]
    resolve_checkpoint(REFERENCE)
    hub.repositories["ann/tumours"].status = (503, "")
    pull_bundle.cache_clear()
    assert resolve_checkpoint(REFERENCE).name == oid
    assert "503" in refusal(f"{REFERENCE}@other")


def test_no_connection_and_nothing_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_hub(FakeHub("http://127.0.0.1:9"), tmp_path / "cache", monkeypatch)
    assert "connection" in refusal(REFERENCE)
    assert not list((tmp_path / "cache").rglob("metadata.json"))


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ((403, "GatedRepo"), "ask for access"),
        ((401, "RepoNotFound"), "hf auth login"),
        ((500, ""), "500"),
    ],
)
def test_what_the_hub_refuses(hub: FakeHub, status: tuple[int, str], advice: str) -> None:
    hub.repositories["ann/tumours"].status = status
    assert advice in refusal(REFERENCE)


def test_private_repositories(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repositories["ann/tumours"].private = True
    assert "private" in refusal(REFERENCE)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert resolve_checkpoint(REFERENCE).is_dir()
    assert "no such repository" in refusal("hf://ann/absent")


def test_a_repository_of_another_kind_is_not_downloaded(hub: FakeHub) -> None:
    hub.repositories["ann/large"] = Repository(private=False)
    hub.repositories["ann/large"].commit({"model.safetensors": b"0" * 1000, "metadata.json": b"{}"})
    message = refusal("hf://ann/large")
    assert "SHA256SUMS" in message
    assert "metadata.json" not in message
    assert not [line for line in hub.requests if "model.safetensors" in line]


def test_damage_is_found(hub: FakeHub, checkpoint: Path) -> None:
    repository = hub.repositories["ann/tumours"]
    files = contents(checkpoint)
    array = next(name for name in files if "/d/" in name)
    repository.commit(files | {array: files[array][:-1] + b"!"})
    with pytest.raises(DamagedError, match="changed"):
        resolve_checkpoint(REFERENCE)
    oid = repository.commit({name: files[name] for name in files if name != array})
    with pytest.raises(DamagedError, match="missing"):
        resolve_checkpoint(f"{REFERENCE}@{oid}")
    oid = repository.commit(files | {"SHA256SUMS": b"../../etc/passwd"})
    with pytest.raises(DamagedError, match="SHA256SUMS"):
        resolve_checkpoint(f"{REFERENCE}@{oid}")


def test_a_cache_that_cannot_be_written(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    use_hub(hub, tmp_path / "file" / "cache", monkeypatch)
    assert "HF_HOME" in refusal(REFERENCE)


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    pull_bundle.cache_clear()
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "fakd_jax[hub]" in refusal(REFERENCE)


@pytest.mark.slow
def test_a_command_pulls(hub: FakeHub, tmp_path: Path) -> None:
    image = write_image(tmp_path / "scans" / "a.png", 0)
    start = "from tests.tiny import register_tiny_models; register_tiny_models(); "
    run = "from fakd_jax.__main__ import run; run()"
    place = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(REPOSITORY),
    }
    output = tmp_path / "rows.csv"
    flags = ["predict", "--checkpoint", REFERENCE, str(image), "--output", str(output)]
    done = subprocess.run(
        [sys.executable, "-c", start + run, *flags],
        cwd=tmp_path,
        env=os.environ | place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(hub.repositories["ann/tumours"].commits[-1][0]) == 1
    assert len(output.read_text().splitlines()) == 2
