"""Downloads against a local server, and filling models from every kind of source."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.models import create_model
from fakd_jax.models.checkpoint import save_model
from fakd_jax.models.state import flatten_state, model_state
from fakd_jax.models.torch_weights import pretrained, to_state_dict
from fakd_jax.models.torch_weights.names import key_table
from fakd_jax.models.torch_weights.pretrained import fetch_imagenet, load_pretrained, weights_cache

CONTENT = bytes(range(256)) * 2000  # half a megabyte
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NAME = f"resnet50-{DIGEST[:8]}.pth"


@dataclass
class Server:
    """How a test's server behaves, and what it was asked for."""

    url: str = ""
    content: bytes = CONTENT
    status: int = 200
    cut_after: int | None = None  # bytes sent before the connection is dropped
    resumable: bool = True
    delay: float = 0.0
    requests: list[str] = field(default_factory=list)  # the Range header of each


@pytest.fixture
def server() -> Iterator[Server]:
    settings = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            settings.requests.append(asked)
            time.sleep(settings.delay)
            if settings.status != 200:
                self.send_error(settings.status)
                return
            start = int(asked[6:-1]) if asked and settings.resumable else 0
            if start >= len(settings.content):
                self.send_error(416)
                return
            body = settings.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: settings.cut_after])

        def log_message(self, *_: object) -> None:
            """Keeps the tests' output clean."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        settings.url = f"http://127.0.0.1:{running.server_port}/models"
        yield settings
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _small_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pretrained.IMAGENET_FILES, "resnet50", NAME)
    monkeypatch.delenv("FAKD_JAX_WEIGHTS_URL", raising=False)


def fetch(server: Server, cache: Path, log: list[str] | None = None) -> Path:
    lines = [] if log is None else log
    return fetch_imagenet("resnet50", cache_dir=cache, base_url=server.url, log=lines.append)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {f"{NAME}.lock"}


class TestDownload:
    def test_once_and_then_from_the_cache(self, server: Server, tmp_path: Path) -> None:
        log: list[str] = []
        file = fetch(server, tmp_path / "new" / "cache", log)
        assert file == tmp_path / "new" / "cache" / NAME
        assert file.read_bytes() == CONTENT
        assert fetch(server, tmp_path / "new" / "cache") == file
        assert server.requests == [""]
        assert names(file.parent) == {NAME}
        assert log[0].startswith(f"downloading {server.url}/{NAME} (0.5 MB")

    def test_url_and_cache_from_the_environment(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FAKD_JAX_WEIGHTS_URL", server.url + "/")
        monkeypatch.setenv("FAKD_JAX_CACHE", str(tmp_path))
        file = fetch_imagenet("resnet50", log=lambda _: None)
        assert file == tmp_path / "weights" / NAME == weights_cache() / NAME

    def test_default_cache(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("FAKD_JAX_CACHE", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
        assert weights_cache() == Path("/somewhere/fakd_jax/weights")

    def test_wrong_hash_is_removed(self, server: Server, tmp_path: Path) -> None:
        server.content = b"<html>a login page</html>"
        with pytest.raises(UserError, match=rf"has SHA-256 .*, not {DIGEST[:8]}…, and was removed"):
            fetch(server, tmp_path)
        assert names(tmp_path) == set()
        server.content = CONTENT
        assert fetch(server, tmp_path).read_bytes() == CONTENT

    @pytest.mark.parametrize("resumable", [True, False])
    def test_cut_connection_then_success(
        self, server: Server, tmp_path: Path, resumable: bool
    ) -> None:
        server.cut_after, server.resumable = 200_000, resumable
        with pytest.raises(UserError, match=r"ended at 200,000 of 512,000 bytes\); try again"):
            fetch(server, tmp_path)
        assert names(tmp_path) == {f"{NAME}.part"}
        server.cut_after = None
        assert fetch(server, tmp_path).read_bytes() == CONTENT
        assert server.requests == ["", "bytes=200000-"]
        assert names(tmp_path) == {NAME}

    def test_a_part_that_is_whole_already(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / f"{NAME}.part").write_bytes(CONTENT)
        assert fetch(server, tmp_path).read_bytes() == CONTENT

    def test_a_spoilt_file_in_the_cache_is_fetched_anew(
        self, server: Server, tmp_path: Path
    ) -> None:
        (tmp_path / NAME).write_bytes(CONTENT[:-1])
        log: list[str] = []
        assert fetch(server, tmp_path, log).read_bytes() == CONTENT
        assert "has the wrong SHA-256" in log[0]

    def test_refused(self, server: Server, tmp_path: Path) -> None:
        server.status = 404
        with pytest.raises(UserError, match=r"the server refused .* \(404 Not Found\); download"):
            fetch(server, tmp_path)

    def test_no_network_names_the_file_and_its_place(self, tmp_path: Path) -> None:
        closed = "http://127.0.0.1:9/models"
        with pytest.raises(UserError) as caught:
            fetch_imagenet("resnet50", cache_dir=tmp_path, base_url=closed, log=lambda _: None)
        message = str(caught.value)
        assert "\n" not in message
        assert f"download {closed}/{NAME} by hand and put it at {tmp_path / NAME}" in message

    def test_a_cache_that_cannot_be_written(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(UserError, match=r"cannot write .* choose another cache folder"):
            fetch(server, tmp_path / "file")

    def test_a_second_process_waits_and_downloads_nothing(
        self, server: Server, tmp_path: Path
    ) -> None:
        server.delay = 0.3
        results: list[Path] = []
        logs: list[list[str]] = [[], []]
        threads = [
            threading.Thread(target=lambda log=log: results.append(fetch(server, tmp_path, log)))
            for log in logs
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [tmp_path / NAME] * 2
        assert server.requests == [""]
        waited = [line for log in logs for line in log if "another process is downloading" in line]
        assert waited == [f"another process is downloading {NAME}: waiting for it"]

    def test_the_lock_ends_with_the_process_that_held_it(
        self, server: Server, tmp_path: Path
    ) -> None:
        """A real second process holds the lock, is killed, and leaves nothing to clean up."""
        code = (
            "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
            "print('held', flush=True); time.sleep(60)"
        )
        lock = tmp_path / f"{NAME}.lock"
        holder = subprocess.Popen(
            [sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE, text=True
        )
        with contextlib.closing(holder.stdout) as output:  # type: ignore[type-var]
            assert output.readline() == "held\n"
            results: list[Path] = []
            thread = threading.Thread(target=lambda: results.append(fetch(server, tmp_path)))
            thread.start()
            thread.join(0.3)
            assert thread.is_alive()
            assert server.requests == []
            holder.kill()
            holder.wait()
            thread.join(10)
        assert results == [tmp_path / NAME]


HEADS = {"tiny_resnet": "fc", "tiny_mobilenet": "classifier.3"}


@pytest.fixture(scope="module")
def models() -> dict[tuple[str, int], nnx.Module]:
    return {
        (arch, classes): create_model(arch, num_classes=classes, rngs=nnx.Rngs(classes))
        for arch in HEADS
        for classes in (3, 4)
    }


def weights_of(model: nnx.Module) -> dict[str, np.ndarray]:
    return to_state_dict(model_state(model), key_table(model))


def save_folder(folder: Path, model: nnx.Module, arch: str, **metadata: object) -> Path:
    save_model(folder, model_state(model), {"arch": arch, "num_classes": 4, **metadata})
    return folder


class TestLoadPretrained:
    @pytest.mark.parametrize("arch", HEADS)
    @pytest.mark.parametrize("kind", ["folder", "workdir", "file"])
    def test_same_classes(
        self, models: dict[tuple[str, int], nnx.Module], tmp_path: Path, arch: str, kind: str
    ) -> None:
        source, target = models[arch, 4], create_like(models[arch, 4])
        if kind == "file":
            path = tmp_path / "w.safetensors"
            safetensors.numpy.save_file(contiguous(weights_of(source)), path)
        else:
            save_folder(tmp_path / ("student/best/7" if kind == "workdir" else "m"), source, arch)
            path = tmp_path if kind == "workdir" else tmp_path / "m"
        report = load_pretrained(target, arch, path)
        assert report.fresh == ()
        assert str(tmp_path) in str(report.source)
        assert report.sha256
        loaded = weights_of(target)
        for key, value in weights_of(source).items():
            np.testing.assert_array_equal(loaded[key], value)

    @pytest.mark.parametrize("arch", HEADS)
    def test_another_class_count_draws_the_last_layer(
        self, models: dict[tuple[str, int], nnx.Module], tmp_path: Path, arch: str
    ) -> None:
        source, target = models[arch, 4], nnx.clone(models[arch, 3])
        before = weights_of(target)
        report = load_pretrained(target, arch, save_folder(tmp_path / "m", source, arch))
        head = HEADS[arch]
        assert report.fresh == (f"{head}.bias", f"{head}.weight")
        assert report.head == "untrained"
        after = weights_of(target)
        np.testing.assert_array_equal(after[f"{head}.weight"], before[f"{head}.weight"])
        rest = next(key for key in after if not key.startswith(head))
        np.testing.assert_array_equal(after[rest], weights_of(source)[rest])

    def test_what_conversion_drew_is_drawn_anew(
        self, models: dict[tuple[str, int], nnx.Module], tmp_path: Path
    ) -> None:
        """The head in a converted backbone is noise of the conversion's seed, not a weight."""
        source, target = models["tiny_mobilenet", 4], create_like(models["tiny_mobilenet", 4])
        before = weights_of(target)
        fresh = [key for key in before if key.startswith("classifier.")]
        folder = save_folder(
            tmp_path / "m", source, "tiny_mobilenet", head="absent", source={"fresh": fresh}
        )
        report = load_pretrained(target, "tiny_mobilenet", folder)
        assert set(report.fresh) == set(fresh)
        assert report.head == "absent"
        after = weights_of(target)
        for key in fresh:
            np.testing.assert_array_equal(after[key], before[key])

    def test_imagenet(
        self,
        models: dict[tuple[str, int], nnx.Module],
        server: Server,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        content = safetensors.numpy.save(contiguous(weights_of(models["tiny_resnet", 4])))
        name = f"tiny-{hashlib.sha256(content).hexdigest()[:8]}.safetensors"
        monkeypatch.setitem(pretrained.IMAGENET_FILES, "tiny_resnet", name)
        monkeypatch.setenv("FAKD_JAX_WEIGHTS_URL", server.url)
        server.content = content
        target, log = nnx.clone(models["tiny_resnet", 3]), []
        report = load_pretrained(
            target, "tiny_resnet", "imagenet", cache_dir=tmp_path, log=log.append
        )
        assert report.source == str(tmp_path / name)
        assert report.fresh == ("fc.bias", "fc.weight")
        assert log

    def test_refusals(self, models: dict[tuple[str, int], nnx.Module], tmp_path: Path) -> None:
        target = nnx.clone(models["tiny_resnet", 3])
        before = flatten_state(model_state(nnx.clone(target)))
        with pytest.raises(UserError, match="no such file or folder; give one that exists, or"):
            load_pretrained(target, "tiny_resnet", tmp_path / "nowhere")
        with pytest.raises(UserError, match="no checkpoint in"):
            load_pretrained(target, "tiny_resnet", tmp_path)
        folder = save_folder(tmp_path / "m", models["tiny_mobilenet", 4], "tiny_mobilenet")
        with pytest.raises(UserError, match="is a tiny_mobilenet, not a tiny_resnet"):
            load_pretrained(target, "tiny_resnet", folder)
        weights = contiguous(weights_of(models["tiny_resnet", 4]))
        del weights["layer1.0.conv1.weight"]
        safetensors.numpy.save_file(weights, tmp_path / "w.safetensors")
        with pytest.raises(UserError, match=r"missing: layer1\.0\.conv1\.weight"):
            load_pretrained(target, "tiny_resnet", tmp_path / "w.safetensors")
        for path, value in flatten_state(model_state(target)).items():
            np.testing.assert_array_equal(value, before[path])


def create_like(model: nnx.Module) -> nnx.Module:
    """A copy of the model with other values."""
    duplicate = nnx.clone(model)
    nnx.update(duplicate, jax.tree.map(lambda leaf: np.asarray(leaf) + 1, nnx.state(duplicate)))
    return duplicate


def contiguous(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What safetensors needs: it writes a transposed view's memory as it lies."""
    return {key: np.ascontiguousarray(value) for key, value in weights.items()}
