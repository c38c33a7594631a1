"""The public Brain Tumor MRI Dataset from Kaggle, in the version of the paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from fakd_jax.errors import UserError
from fakd_jax.runtime.extras import import_extra

NAME = "brain-tumor-mri-dataset"
VERSION = "1"
HANDLE = f"masoudnickparvar/{NAME}/versions/{VERSION}"
ADDRESS = f"https://www.kaggle.com/datasets/masoudnickparvar/{NAME}/versions/{VERSION}"
PAPER_COUNTS = {
    "train": {"glioma": 1321, "meningioma": 1339, "notumor": 1595, "pituitary": 1457},
    "test": {"glioma": 300, "meningioma": 306, "notumor": 405, "pituitary": 300},
}
"""Images by split and class of version 1; version 2 (2026) has 1,400 and 400 per class."""


def download(*, log: Callable[[str], object] = print) -> Path:
    """Downloads the data set, or finds it in kagglehub's cache.

    Returns:
      The folder with `Training/` and `Testing/`.

    Raises:
      UserError: no network, no permission, no room, or a broken download.
    """
    import requests

    kagglehub = import_extra("kagglehub", "kaggle", "downloading from Kaggle")
    exceptions = kagglehub.exceptions

    log(f"data: finding or downloading {HANDLE} through kagglehub")
    try:
        return Path(kagglehub.dataset_download(HANDLE))
    except (
        OSError,  # includes most errors of requests, and a full disk
        requests.exceptions.RequestException,
        exceptions.BackendError,
        exceptions.CredentialError,
        exceptions.DataCorruptionError,
        exceptions.KaggleEnvironmentError,
        exceptions.NotFoundError,
        exceptions.UnauthenticatedError,
        ValueError,
    ) as error:
        if isinstance(error, requests.exceptions.ConnectionError | requests.exceptions.Timeout):
            why = "no connection to Kaggle"
        else:
            why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(
            f"cannot download the Kaggle data set ({why}); download the zip by hand from "
            f"{ADDRESS} and give it as --config.data.source=<the zip>"
        ) from error


def check_counts(counts: Mapping[str, Mapping[str, int]], folder: Path) -> None:
    """Compares the downloaded images by split and class with the paper's.

    Raises:
      UserError: they differ.
    """
    if counts == PAPER_COUNTS:
        return
    raise UserError(
        f"{folder} is not the paper's version of the Kaggle data set: it has "
        f"{_listed(counts)}, version {VERSION} has {_listed(PAPER_COUNTS)}; delete that folder and "
        f"run again, or give the folder as --config.data.source to use it as it is"
    )


def _listed(counts: Mapping[str, Mapping[str, int]]) -> str:
    return "; ".join(
        f"{split}: " + ", ".join(f"{number} {name}" for name, number in by_class.items())
        for split, by_class in counts.items()
    )
