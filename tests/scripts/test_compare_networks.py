"""The comparison of networks: what it compares, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from fakd_jax.errors import UserError
from fakd_jax.models import available_models

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(load_script, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    return load_script("compare_networks")


def test_every_network_is_compared_with_torchvisions(script: ModuleType) -> None:
    page = (REPOSITORY / "docs" / "reference" / "networks.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(\w+)` \| \d", page, re.MULTILINE)
    assert script.NETWORKS.keys() == {*documented}
    assert {*documented} <= {*available_models()}
    assert all("torchvision" in libraries for libraries in script.NETWORKS.values())


def test_an_unknown_network_is_refused(script: ModuleType) -> None:
    with pytest.raises(UserError, match=r"no network resnet51; choose from resnet18"):
        script.main(["resnet51"])
