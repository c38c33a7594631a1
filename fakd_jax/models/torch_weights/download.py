"""Downloads into a cache: verified, resumable, once for all processes."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from fakd_jax.errors import UserError
from fakd_jax.runtime.hashing import sha256_of_file

_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 30.0  # for a connection and for each wait for bytes, not for the whole file

Log = Callable[[str], object]


def download(url: str, target: Path, *, sha256_prefix: str, log: Log = print) -> Path:
    """Downloads a file unless it is there already.

    Bytes go to `<target>.part`, which a later call resumes, and are renamed once their hash is
    verified. A second process that wants the same file waits for the first; the lock ends with
    the process that holds it.

    Args:
      url: address of the file.
      target: the file to write.
      sha256_prefix: start of the SHA-256 of its bytes, hexadecimal.
      log: called with each line of progress.

    Returns:
      `target`.

    Raises:
      UserError: no network, the server refused, the connection broke, the hash is wrong, or the
        cache cannot be written; with the file to download by hand and where to put it.
    """
    if _is_right(target, sha256_prefix):
        return target
    by_hand = f"download {url} by hand and put it at {target}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target.with_name(f"{target.name}.lock"), log):
            if _is_right(target, sha256_prefix):  # another process was faster
                return target
            if target.exists():
                log(f"{target} has the wrong SHA-256: downloading it again")
            part = target.with_name(f"{target.name}.part")
            _receive(url, part, log)
            if not _is_right(part, sha256_prefix):
                found = sha256_of_file(part)
                part.unlink()
                raise UserError(
                    f"the file from {url} has SHA-256 {found[:16]}…, not {sha256_prefix}…, and was "
                    f"removed; try again, or {by_hand}"
                )
            os.replace(part, target)
    except urllib.error.HTTPError as error:
        raise UserError(
            f"the server refused {url} ({error.code} {error.reason}); {by_hand}"
        ) from error
    except (
        urllib.error.URLError,
        http.client.HTTPException,
        TimeoutError,
        ConnectionError,
        ValueError,  # an address without http://
    ) as error:
        reason = getattr(error, "reason", None) or error
        raise UserError(f"cannot download {url} ({reason}); try again, or {by_hand}") from error
    except OSError as error:
        raise UserError(
            f"cannot write {target} ({error.strerror or error}); choose another cache folder with "
            f"FAKD_JAX_CACHE, or make room"
        ) from error
    return target


def _is_right(file: Path, sha256_prefix: str) -> bool:
    return file.is_file() and sha256_of_file(file).startswith(sha256_prefix)


@contextlib.contextmanager
def _lock(file: Path, log: Log) -> Iterator[None]:
    """Holds an exclusive lock, which the system releases if the process dies."""
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log(f"another process is downloading {file.stem}: waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _receive(url: str, part: Path, log: Log) -> None:
    """Continues an earlier attempt's `part` if the server supports it, else starts over.

    Raises:
      ConnectionError: the connection ended before the announced length.
    """
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "fakd_jax"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing left to send; the hash decides
            return
        raise
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            have = 0
        announced = response.headers.get("Content-Length")
        total = None if announced is None else have + int(announced)
        size = "of unknown size" if total is None else f"{total / 1e6:.1f} MB"
        log(f"downloading {url} ({size}{f', {have / 1e6:.1f} MB of it present' if have else ''})")
        with part.open("ab" if have else "wb") as file:
            _copy(response, file.write, have, total, log)


def _copy(
    response: http.client.HTTPResponse,
    write: Callable[[bytes], object],
    done: int,
    total: int | None,
    log: Log,
) -> None:
    """Copies a response, logging every tenth of it."""
    logged = done * 10 // total if total else 0
    while chunk := response.read(_CHUNK):
        write(chunk)
        done += len(chunk)
        if total and done * 10 // total > logged:
            logged = done * 10 // total
            log(f"  {done / 1e6:.1f} of {total / 1e6:.1f} MB")
    if total is not None and done < total:
        raise ConnectionError(f"the connection ended at {done:,} of {total:,} bytes")
