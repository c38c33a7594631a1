"""Pushes a bundle to the Hugging Face Hub: in one commit, private unless asked otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakd_jax.errors import UserError
from fakd_jax.export.bundle.card import CARD_FILE
from fakd_jax.runtime.hub import MARKERS, NAME, HubReference, hub_errors, import_client
from fakd_jax.version import __version__

_OF_THE_HUB = ".gitattributes"
_COMMIT_MESSAGE = "Upload a fakd_jax bundle"


@dataclass(frozen=True)
class Destination:
    """A repository that a bundle can be pushed to, see :func:`open_destination`.

    Attributes:
      repo: `OWNER/NAME`.
      public: whether anybody may read it.
    """

    repo: str
    public: bool

    def push(self, folder: Path) -> HubReference:
        """Makes a bundle's folder the content of the repository, which is created if need be.

        One commit does it, on top of the content that was looked at: an interrupted push, or two at
        once, leave no mixture of bundles.

        Returns:
          The commit.

        Raises:
          UserError: the repository cannot be written, or changed meanwhile.
        """
        client, api = _client()
        with hub_errors(f"push to {self.repo}"):
            found = _look_up(api, self.repo)
            if found is None:
                api.create_repo(self.repo, private=not self.public, exist_ok=True)
                found = api.model_info(self.repo)
            self._require_suitable(found)
            files = {
                file.relative_to(folder).as_posix(): file
                for file in sorted(folder.rglob("*"))
                if file.is_file()
            }
            outdated = sorted(_names(found) - files.keys() - {_OF_THE_HUB})
            commit = api.create_commit(
                self.repo,
                [
                    *(client.CommitOperationAdd(name, str(file)) for name, file in files.items()),
                    *(client.CommitOperationDelete(name) for name in outdated),
                ],
                commit_message=_COMMIT_MESSAGE,
                parent_commit=found.sha,
            )
        return HubReference(self.repo, commit.oid)

    def _require_suitable(self, found: Any) -> None:
        """Checks that a repository has the visibility asked for, and nothing to lose but a bundle.

        Raises:
          UserError: it has not.
        """
        if bool(found.private) == self.public:
            kind, remedy = ("private", "leave out") if found.private else ("public", "add")
            raise UserError(
                f"{self.repo} exists and is {kind}; {remedy} --public, change that in its "
                "settings, or give another name"
            )
        others = _names(found) - {_OF_THE_HUB, CARD_FILE}
        if others and not others.issuperset(MARKERS):
            raise UserError(
                f"{self.repo} has other files and is no bundle; a push would remove them: give "
                "another name"
            )


def open_destination(repo: str, *, public: bool) -> Destination:
    """Checks, before time is spent on a bundle, that it could be pushed.

    Args:
      repo: `OWNER/NAME`.
      public: whether anybody may read it; else it is private.

    Raises:
      UserError: huggingface_hub is missing, nobody is logged in, the name is malformed, or the
        repository exists and has another visibility or is no bundle.
    """
    if not NAME.fullmatch(repo):
        raise UserError(f"--push-to {repo} is not OWNER/NAME; correct it")
    destination = Destination(repo, public)
    _, api = _client()
    with hub_errors(f"push to {repo}"):
        api.whoami()
        if found := _look_up(api, repo):
            destination._require_suitable(found)
    return destination


def _client() -> tuple[Any, Any]:
    client = import_client("pushing to the Hugging Face Hub")
    return client, client.HfApi(library_name="fakd_jax", library_version=__version__)


def _look_up(api: Any, repo: str) -> Any | None:
    """What the Hub knows of a repository; None if there is none that the user may read."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return api.model_info(repo)
    except RepositoryNotFoundError:
        return None


def _names(found: Any) -> set[str]:
    return {sibling.rfilename for sibling in found.siblings or ()}
