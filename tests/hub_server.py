"""A server on 127.0.0.1 that imitates what the Hugging Face Hub's client asks of the Hub."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from fakd_jax.runtime.hub import pull_bundle

TOKEN = "hf_" + "s" * 34
OWNER = "ann"


@dataclass
class Repository:
    """A repository with its commits on `main`, oldest first; `status` refuses every request."""

    private: bool = True
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    status: tuple[int, str] | None = None

    def commit(self, files: dict[str, bytes]) -> str:
        """Adds a commit with these files, and returns its name."""
        number = str(len(self.commits)).encode()
        oid = hashlib.sha1(number + repr(sorted(files)).encode()).hexdigest()
        self.commits.append((oid, dict(files)))
        return oid

    def find(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit of a revision."""
        if revision == "main":
            return self.commits[-1]
        return next((each for each in self.commits if each[0] == revision), None)


@dataclass
class FakeHub:
    """What the server has, and what it was asked."""

    url: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    may_write: bool = True


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """A running server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.hub = hub = FakeHub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def use_hub(hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points the client in this process at a server, with a cache and no login of its own."""
    from huggingface_hub import constants, file_download

    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    for module in (constants, file_download):  # the latter has its own in versions before 1.0
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    pull_bundle.cache_clear()


class _RefusedError(Exception):
    def __init__(self, status: int, code: str = "") -> None:
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._reply()

    do_HEAD = do_POST = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass

    @property
    def hub(self) -> FakeHub:
        return self.server.hub

    def _reply(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append(f"{self.command} {path}")
        try:
            self._send(200, *self._answer(path, body))
        except _RefusedError as refused:
            self._send(refused.status, b"{}", {"X-Error-Code": refused.code})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _answer(self, path: str, body: bytes) -> tuple[bytes, dict[str, str]]:
        if path == "/api/whoami-v2":
            if not self._logged_in:
                raise _RefusedError(401)
            return _json({"name": OWNER, "type": "user"})
        if path == "/api/validate-yaml":
            return _json({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._file(*match.groups())
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(\w+)/([^/]+))?.*", path)
        if match is None:
            raise _RefusedError(404)
        name, kind, revision = match[1], match[2] or "revision", match[3] or "main"
        repository, oid, files = self._commit(name, revision)
        if kind == "revision":
            listed = [{"rfilename": each} for each in files]
            return _json(
                {"id": name, "sha": oid, "private": repository.private, "siblings": listed}
            )
        if kind == "tree":
            return _json([_entry(each, content) for each, content in files.items()])
        if not (self._logged_in and self.hub.may_write):
            raise _RefusedError(403)
        if kind == "preupload":
            asked = [each["path"] for each in json.loads(body)["files"]]
            known = {each: _blob(files[each]) for each in asked if each in files}
            modes = {"uploadMode": "regular", "shouldIgnore": False}
            return _json({"files": [{"path": p, "oid": known.get(p), **modes} for p in asked]})
        return self._write(repository, name, oid, dict(files), body)

    @property
    def _logged_in(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _create(self, asked: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
        if not (self._logged_in and self.hub.may_write):
            raise _RefusedError(403)
        name = f"{asked['organization'] or OWNER}/{asked['name']}"
        private = asked.get("private") or asked.get("visibility") == "private"
        self.hub.repositories[name] = Repository(bool(private))
        self.hub.repositories[name].commit({".gitattributes": b"*.bin filter=lfs\n"})
        return _json({"url": f"{self.hub.url}/{name}", "id": name, "name": name})

    def _commit(self, name: str, revision: str) -> tuple[Repository, str, dict[str, bytes]]:
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not self._logged_in):
            raise _RefusedError(404 if self._logged_in else 401, "RepoNotFound")
        if repository.status is not None:
            raise _RefusedError(*repository.status)
        if (found := repository.find(revision)) is None:
            raise _RefusedError(404, "RevisionNotFound")
        return repository, *found

    def _file(self, name: str, revision: str, file: str) -> tuple[bytes, dict[str, str]]:
        _, oid, files = self._commit(name, revision)
        if file not in files:
            raise _RefusedError(404, "EntryNotFound")
        return files[file], {"X-Repo-Commit": oid, "ETag": f'"{_blob(files[file])}"'}

    def _write(
        self, repository: Repository, name: str, oid: str, files: dict[str, bytes], body: bytes
    ) -> tuple[bytes, dict[str, str]]:
        for line in map(json.loads, body.splitlines()):
            key, value = line["key"], line["value"]
            if key == "header" and value.get("parentCommit", oid) != oid:
                raise _RefusedError(412)
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            if key == "deletedFile":
                del files[value["path"]]
        made = repository.commit(files)
        url = f"{self.hub.url}/{name}/commit/{made}"
        return _json({"success": True, "commitOid": made, "commitUrl": url})


def _json(value: Any) -> tuple[bytes, dict[str, str]]:
    return json.dumps(value).encode(), {"Content-Type": "application/json"}


def _entry(path: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": path, "size": len(content), "oid": _blob(content)}


def _blob(content: bytes) -> str:
    """The name that git gives a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
