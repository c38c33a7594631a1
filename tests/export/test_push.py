"""Bundles pushed by the real client to a server that imitates the Hub."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")

import huggingface_hub

from fakd_jax.errors import UserError
from fakd_jax.export import __main__ as command
from fakd_jax.export import run
from fakd_jax.export.bundle.push import open_destination
from fakd_jax.models.checkpoint import resolve_checkpoint
from fakd_jax.runtime.hub import HubReference
from tests.evaluation.runs import silent
from tests.hub_server import TOKEN, FakeHub, Repository, fake_hub, use_hub
from tests.tiny import contents, save_tiny_checkpoint

REPO = "ann/tumours"
HIDDEN = ".gitattributes"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint's folder, which is all that a push asks of a bundle."""
    return save_tiny_checkpoint(tmp_path_factory.mktemp("run")) / "student" / "best" / "7"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """An empty Hub that the user is logged in to."""
    with fake_hub() as hub:
        use_hub(hub, tmp_path / "cache", monkeypatch)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("FAKD_JAX_CACHE", str(tmp_path / "unpacked"))
        monkeypatch.setattr(command, "use_compilation_cache", lambda: None)
        yield hub


def push(folder: Path, *, public: bool = False) -> HubReference:
    return open_destination(REPO, public=public).push(folder)


def refusal(repo: str, *, public: bool = False) -> str:
    """The message with which a destination is refused: one line that names it."""
    with pytest.raises(UserError) as raised:
        open_destination(repo, public=public)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_command_pushes(
    hub: FakeHub, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle.zip"
    flags = ["--checkpoint", str(folder), "--output", str(bundle), "--format", "bundle"]
    command.main([*flags, "--push-to", REPO])
    oid, files = hub.repositories[REPO].commits[-1]
    assert hub.repositories[REPO].private
    unpacked = resolve_checkpoint(bundle)
    assert files.keys() == contents(unpacked).keys() | {HIDDEN}  # the folder, not the zip
    assert capsys.readouterr().out.endswith(f"--checkpoint hf://{REPO}@{oid}\n")
    assert contents(resolve_checkpoint(f"hf://{REPO}@{oid}")) == contents(unpacked)
    card = huggingface_hub.ModelCard.load(unpacked / "README.md").data
    assert (card.library_name, card.pipeline_tag) == ("fakd_jax", "image-classification")
    assert {"medical-imaging", "tiny_mobilenet"} <= set(card.tags)
    assert card.to_dict().keys() == {"library_name", "pipeline_tag", "tags"}


def test_a_bundle_that_cannot_be_pushed_is_kept(
    hub: FakeHub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = dataclasses.replace(
        run.FORMATS["bundle"],
        write=lambda _, path: shutil.copytree(folder, path),
        verify=lambda *_: "",
        uses_images=False,
    )
    monkeypatch.setitem(run.FORMATS, "bundle", copied)
    hub.may_write = False
    output = tmp_path / "bundle"
    with pytest.raises(UserError) as raised:
        run.export_checkpoint(folder, output, format="bundle", push_to=REPO, log=silent)
    message = str(raised.value)
    assert "no permission" in message
    assert f"--checkpoint {output}" in message
    assert TOKEN not in message
    assert contents(output) == contents(folder)


@pytest.mark.parametrize("public", [False, True])
def test_one_commit_replaces_an_earlier_bundle(hub: FakeHub, folder: Path, public: bool) -> None:
    first = push(folder, public=public)
    repository = hub.repositories[REPO]
    assert repository.private is not public
    assert [oid for oid, _ in repository.commits][1:] == [first.revision]
    repository.commit(contents(folder) | {"model.onnx": b"old", "README.md": b"old", HIDDEN: b""})
    second = push(folder, public=public)
    assert len(repository.commits) == 4
    assert repository.commits[-1] == (second.revision, contents(folder) | {HIDDEN: b""})
    assert push(folder, public=public) == second  # nothing to change, and no commit
    assert len(repository.commits) == 4


@pytest.mark.parametrize("private", [True, False])
def test_another_visibility_is_refused(hub: FakeHub, private: bool) -> None:
    hub.repositories[REPO] = Repository(private)
    hub.repositories[REPO].commit({HIDDEN: b""})
    assert ("is private" if private else "is public") in refusal(REPO, public=private)


def test_what_is_no_bundle_is_not_overwritten(hub: FakeHub, folder: Path) -> None:
    hub.repositories[REPO] = repository = Repository()
    repository.commit({HIDDEN: b"", "README.md": b"# mine", "model.safetensors": b"precious"})
    assert "is no bundle" in refusal(REPO)
    repository.commit({HIDDEN: b"", "README.md": b"# soon here"})
    push(folder)
    assert repository.commits[-1][1].keys() == contents(folder).keys() | {HIDDEN}


@pytest.mark.parametrize("token", [None, "hf_wrong"])
def test_nobody_is_logged_in(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    message = refusal(REPO)
    assert "hf auth login" in message
    assert "hf_wrong" not in message


def test_a_change_meanwhile_is_not_overwritten(
    hub: FakeHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories[REPO] = repository = Repository()
    repository.commit(contents(folder))
    original = huggingface_hub.HfApi.create_commit

    def late(*arguments: object, **options: object) -> object:
        repository.commit({"README.md": b"by somebody else"})
        return original(*arguments, **options)

    monkeypatch.setattr(huggingface_hub.HfApi, "create_commit", late)
    with pytest.raises(UserError, match="changed meanwhile"):
        push(folder)
    assert len(repository.commits) == 2


@pytest.mark.parametrize("repo", ["tumours", f"{REPO}@main", "ann/tumours.git", "a/b/c", ""])
def test_malformed_names(hub: FakeHub, repo: str) -> None:
    assert repo in refusal(repo)
    assert not hub.repositories


def test_flags_that_do_not_go_together_are_refused(hub: FakeHub, tmp_path: Path) -> None:
    file, bundle = tmp_path / "w.safetensors", tmp_path / "bundle"
    with pytest.raises(UserError, match="--format bundle"):
        run.export_checkpoint(tmp_path, file, push_to=REPO)
    with pytest.raises(UserError, match="--push-to OWNER/NAME"):
        run.export_checkpoint(tmp_path, bundle, format="bundle", public=True)
    assert not hub.requests


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "fakd_jax[hub]" in refusal(REPO)
