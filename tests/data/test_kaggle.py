from __future__ import annotations

from pathlib import Path

import kagglehub
import pytest
import requests
from kagglehub import exceptions

from fakd_jax.data import kaggle
from fakd_jax.errors import UserError


def test_the_paper_s_version_is_pinned(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(kagglehub, "dataset_download", lambda h: asked.append(h) or str(tmp_path))
    assert kaggle.download(log=lambda line: None) == tmp_path
    assert asked == ["masoudnickparvar/brain-tumor-mri-dataset/versions/1"]


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (requests.exceptions.ConnectionError("x" * 500), "no connection"),
        (requests.exceptions.ConnectTimeout("slow"), "no connection"),
        (exceptions.KaggleApiHTTPError("403\nForbidden"), "403 Forbidden"),
        (exceptions.UnauthenticatedError(), "not authenticated"),
        (exceptions.CredentialError("no key"), "no key"),
        (exceptions.DataCorruptionError("checksum"), "checksum"),
        (OSError(28, "No space left on device"), "No space left"),
    ],
)
def test_a_failed_download_says_what_to_do_by_hand(monkeypatch, error, advice):
    def fail(handle):
        raise error

    monkeypatch.setattr(kagglehub, "dataset_download", fail)
    with pytest.raises(UserError) as raised:
        kaggle.download(log=lambda line: None)
    message = str(raised.value)
    assert advice in message
    assert kaggle.ADDRESS in message
    assert "--config.data.source=" in message
    assert "\n" not in message
    assert len(message) < 500


def test_the_paper_s_counts_pass_and_others_are_both_named():
    kaggle.check_counts(kaggle.PAPER_COUNTS, Path("here"))
    assert {split: sum(n.values()) for split, n in kaggle.PAPER_COUNTS.items()} == {
        "train": 5712,
        "test": 1311,
    }
    second = {split: dict.fromkeys(n, 1400) for split, n in kaggle.PAPER_COUNTS.items()}
    with pytest.raises(UserError, match=r"train: 1400 glioma.*train: 1321 glioma"):
        kaggle.check_counts(second, Path("here"))
