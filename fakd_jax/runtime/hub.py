"""Bundles on the Hugging Face Hub: `hf://OWNER/NAME[@REVISION]`, pulled into its client's cache.

The client is huggingface_hub (extra `hub`): its cache, its login and its environment variables
(`HF_HOME`, `HF_TOKEN`, `HF_ENDPOINT`, `HF_HUB_OFFLINE`) apply. Nothing that is pulled is trusted:
it is verified against its `SHA256SUMS`, and read as data.
"""

from __future__ import annotations

import errno
import functools
import glob
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from fakd_jax.errors import DamagedError, UserError, listed
from fakd_jax.runtime.extras import import_extra
from fakd_jax.runtime.sha256sums import SUMS_FILE, damaged_files, listed_names
from fakd_jax.version import __version__

MARKERS = ("metadata.json", SUMS_FILE)
"""The files at the root of every bundle."""

NAME = re.compile(r"[^/@\s]+/[^/@\s]+")
"""Of a repository, `OWNER/NAME`; the client knows more rules."""

_SCHEME = "hf:/"
# One slash is enough: pathlib makes one of two.
_REFERENCE = re.compile(rf"hf:/{{1,2}}({NAME.pattern})(?:@(\S+))?")
_LOG_IN = "log in with `hf auth login` or HF_TOKEN"
_MAX_REASON = 200
_OF_THE_DISK = (
    *(errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC, errno.ENOTDIR),
    *(errno.EPERM, errno.EROFS),
)


@dataclass(frozen=True)
class HubReference:
    """A repository on the Hub.

    Attributes:
      repo: `OWNER/NAME`.
      revision: a branch, a tag or a commit; None for the newest commit.
    """

    repo: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: Path | str) -> HubReference:
        """Parses `hf://OWNER/NAME` or `hf://OWNER/NAME@REVISION`.

        Raises:
          UserError: it is neither.
        """
        if match := _REFERENCE.fullmatch(str(text)):
            return cls(match[1], match[2])
        raise UserError(f"{text} is not hf://OWNER/NAME or hf://OWNER/NAME@REVISION; correct it")

    def __str__(self) -> str:
        return f"hf://{self.repo}{f'@{self.revision}' if self.revision else ''}"


def names_hub(path: Path | str) -> bool:
    """Whether a path names a repository on the Hub."""
    return str(path).startswith(_SCHEME)


def local_path(path: Path | str) -> Path:
    """The folder of a bundle on the Hub, pulled if need be; any other path as it is.

    Raises:
      UserError: see :func:`pull_bundle`.
    """
    return pull_bundle(HubReference.parse(path)) if names_hub(path) else Path(path)


@functools.cache  # a branch that moves while a command runs must not give it two networks
def pull_bundle(reference: HubReference) -> Path:
    """Pulls a bundle, and prints the commit that the reference stands for.

    Only the files that its `SHA256SUMS` lists are downloaded. A process asks the Hub once for each
    reference; without a connection, the cache has what was pulled last.

    Returns:
      The folder in the client's cache, named after the commit.

    Raises:
      UserError: huggingface_hub is missing, the repository cannot be read, or it is no bundle.
      DamagedError: a file is not as its `SHA256SUMS` says, or that is damaged.
    """
    client = import_client("pulling from the Hugging Face Hub")
    download = functools.partial(
        client.snapshot_download,
        reference.repo,
        library_name="fakd_jax",
        library_version=__version__,
    )
    action = f"pull {reference}"
    with hub_errors(action):  # these first: a repository of another kind may be large
        folder = Path(download(revision=reference.revision, allow_patterns=list(MARKERS)))
    if lacking := [name for name in MARKERS if not (folder / name).is_file()]:
        raise UserError(
            f"{reference} is no bundle: it has no {' and no '.join(lacking)} (commit "
            f"{folder.name}); give one that fakd export --format bundle --push-to wrote"
        )
    try:
        names = listed_names(folder)
    except (OSError, ValueError) as error:
        raise DamagedError(
            f"{SUMS_FILE} of {reference} cannot be read ({error}); push the bundle again"
        ) from error
    patterns = [*MARKERS, *(glob.escape(name) for name in names)]
    with hub_errors(action):
        folder = Path(download(revision=folder.name, allow_patterns=patterns))
    if problems := damaged_files(folder):  # no reader of checkpoints verifies model.onnx
        raise DamagedError(
            f"{reference} (commit {folder.name}) is damaged or incomplete: {listed(problems)}; "
            "push it again, or remove it from the cache (hf cache) if only this copy is"
        )
    print(f"checkpoint: hf://{reference.repo}@{folder.name}")
    return folder


def import_client(purpose: str) -> ModuleType:
    """Imports huggingface_hub, for a purpose like "pulling from the Hugging Face Hub".

    Raises:
      UserError: it is not installed.
    """
    return import_extra("huggingface_hub", "hub", purpose)


@contextmanager
def hub_errors(action: str) -> Iterator[None]:
    """Turns what the client raises in the block into a one-line error.

    Args:
      action: what failed, like "pull hf://OWNER/NAME".

    Raises:
      UserError: anything was raised.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # its HTTP and transfer libraries differ between its versions
        raise UserError(f"cannot {action}: {_advice(error)}") from error


def _advice(error: Exception) -> str:
    """What is wrong and what to do, on one line."""
    from huggingface_hub import errors

    match error:
        case errors.GatedRepoError():
            return f"its access is restricted; ask for access on its page, then {_LOG_IN}"
        case errors.RepositoryNotFoundError():
            return f"there is no such repository, or it is private; check the name, or {_LOG_IN}"
        case errors.RevisionNotFoundError():
            return "there is no such branch, tag or commit; check what follows @"
        case errors.LocalTokenNotFoundError():
            return f"nobody is logged in; {_LOG_IN}"
        case errors.LocalEntryNotFoundError():
            why = f" ({_reason(error.__cause__)})" if error.__cause__ else ""
            return (
                f"the Hub cannot be reached{why}, and the cache does not have all of it; check the "
                "connection and HF_HUB_OFFLINE"
            )
    match _status(error):
        case 401:
            return f"the Hub does not accept the token; {_LOG_IN}"
        case 403:
            return f"the token has no permission for that; {_LOG_IN} with one that may write there"
        case 409 | 412:
            return "the repository changed meanwhile; try again"
    if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
        return f"{_reason(error)}; make room, or choose another folder with HF_HOME"
    return f"{_reason(error)}; check the connection and try again"


def _status(error: Exception) -> int | None:
    """The HTTP status of an error; None if it has another cause."""
    response: Any = getattr(error, "response", None)
    return getattr(response, "status_code", None)


def _reason(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:_MAX_REASON]
