"""Joining a cluster of Ray: only where there is one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from fakd_jax.errors import UserError
from fakd_jax.runtime import ray as runtime
from tests.ray_errors import EXCEPTIONS

WEB_PAGE = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
SETTINGS_FRAME = bytes([0, 0, 6, 4, 0, 0, 0, 0, 0]) + bytes(6)  # as gRPC answers


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that Ray was asked to join."""
    addresses: list[str] = []

    def init(*, address: str, **options: Any) -> None:
        addresses.append(address)

    ray = SimpleNamespace(init=init, exceptions=EXCEPTIONS)
    monkeypatch.setattr(runtime, "import_extra", lambda *names: ray)
    monkeypatch.setattr(runtime, "CONNECT_SECONDS", 0.5)
    monkeypatch.delenv("RAY_USE_TLS", raising=False)
    return addresses


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port of this machine that is bound."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


def address_of(listener: socket.socket) -> str:
    return "{}:{}".format(*listener.getsockname())


def answer_once(listener: socket.socket, answer: bytes) -> threading.Thread:
    """Answers one client, and keeps its connection until the client closes it."""

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            client.sendall(answer)
            while client.recv(1024):
                pass

    listener.listen()
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_an_address_where_nothing_listens_is_refused(
    listener: socket.socket, joined: list[str]
) -> None:
    address = address_of(listener)
    with pytest.raises(UserError, match=rf"cannot connect to Ray at {address} \(.*refused"):
        runtime.connect(address, "test", 0)
    assert not joined


@pytest.mark.parametrize(
    ("answer", "message"), [(WEB_PAGE, "not Ray's"), (b"", "timed out"), (b"+OK\r\n", "timed out")]
)
def test_another_service_is_refused(
    answer: bytes, message: str, listener: socket.socket, joined: list[str]
) -> None:
    thread = answer_once(listener, answer)
    with pytest.raises(UserError, match=message):
        runtime.connect(address_of(listener), "test", 0)
    assert not joined
    thread.join(5)
    assert not thread.is_alive()


def test_a_service_that_speaks_http2_is_joined(listener: socket.socket, joined: list[str]) -> None:
    answer_once(listener, SETTINGS_FRAME)
    runtime.connect(address_of(listener), "test", 0)
    assert joined == [address_of(listener)]


@pytest.mark.parametrize("value", ["1", "True"])
def test_an_encrypted_service_is_joined_unasked(
    listener: socket.socket, joined: list[str], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("RAY_USE_TLS", value)
    answer_once(listener, b"")
    runtime.connect(address_of(listener), "test", 0)
    assert joined == [address_of(listener)]


@pytest.mark.parametrize("address", ["auto", runtime.LOCAL, "ray://head:10001"])
def test_other_addresses_are_left_to_ray(address: str, joined: list[str]) -> None:
    runtime.connect(address, "test", 0)
    assert joined == [address]
