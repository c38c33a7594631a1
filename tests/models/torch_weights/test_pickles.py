"""What training scripts pickle beside weights: inert where it is harmless, else refused by name."""

from __future__ import annotations

import argparse
import builtins
import collections
import datetime
import os
import pathlib
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakd_jax.errors import UserError
from fakd_jax.models.torch_weights import read_state_dict
from fakd_jax.models.torch_weights.pickles import read_pickle

pytestmark = pytest.mark.torch


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


class Calls:
    """Unpickled, it would call a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    "beside",
    [
        argparse.Namespace(lr=0.1, out=pathlib.Path("runs"), when=datetime.date(2024, 1, 1)),
        types.SimpleNamespace(a=1),
        np.float64(97.3),
        np.int64(3),
        np.bool_(True),
        np.arange(6.0).reshape(2, 3),
        np.dtype("float32"),
        np.float32,
        pathlib.PurePosixPath("a/b"),
        datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
        collections.defaultdict(list, a=[1]),
        collections.OrderedDict(a=1),
        collections.Counter("aab"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("zipped", [True, False])
def test_harmless_things_do_not_stand_in_the_way(
    tmp_path: Path, torch: Any, beside: Any, zipped: bool
) -> None:
    saved = {"net": {"a": torch.ones(2)}, "beside": beside, "list": [beside]}
    torch.save(saved, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    read = read_state_dict(tmp_path / "w.pth", log=lambda _: None)
    assert list(read) == ["a"]


def test_weights_in_a_harmless_dictionary_are_found(tmp_path: Path, torch: Any) -> None:
    torch.save({"net": collections.defaultdict(None, a=torch.ones(2))}, tmp_path / "w.pth")
    assert list(read_state_dict(tmp_path / "w.pth", log=lambda _: None)) == ["a"]


def test_what_is_allowed_is_replaced_and_not_built(
    tmp_path: Path, torch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the class nor its methods are called, though the pickle names them."""

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("called")

    namespace = argparse.Namespace(lr=0.1)
    torch.save({"a": torch.ones(1), "args": namespace}, tmp_path / "w.pth")
    monkeypatch.setattr(argparse.Namespace, "__init__", fail)
    monkeypatch.setattr(argparse.Namespace, "__setattr__", fail)
    read = read_pickle(tmp_path / "w.pth")
    assert type(read["args"]) is not argparse.Namespace
    assert not vars(read["args"])


@pytest.mark.parametrize("where", ["beside", "in the arguments", "as the state of an allowed one"])
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, r"posix\.system"),
        (eval, r"builtins\.eval"),
        (exec, r"builtins\.exec"),
        (builtins.getattr, r"builtins\.getattr"),
        (Path.touch, r"pathlib\.Path\.touch|getattr"),
    ],
)
def test_all_else_is_refused_by_name_and_nothing_runs(
    tmp_path: Path, torch: Any, where: str, function: Any, name: str
) -> None:
    witness = tmp_path / "ran"
    argument: Any = Path(witness) if function is Path.touch else f"open({str(witness)!r}, 'w')"
    if function is os.system:
        argument = f"touch {witness}"
    evil = Calls(function, argument)
    content = {
        "beside": {"evil": evil},
        "in the arguments": {"evil": Calls(argparse.Namespace, evil)},
        "as the state of an allowed one": {"evil": argparse.Namespace(a=evil)},
    }[where]
    file = tmp_path / "w.pth"
    torch.save({"a": torch.ones(1), **content}, file)
    with pytest.raises(UserError, match=rf"never run \(.*({name})") as caught:
        read_state_dict(file)
    assert "\n" not in str(caught.value)
    assert not witness.exists()


def test_the_stand_ins_are_gone_afterwards(tmp_path: Path, torch: Any) -> None:
    before = torch.serialization.get_safe_globals()
    torch.save({"a": torch.ones(1), "args": argparse.Namespace()}, tmp_path / "w.pth")
    read_state_dict(tmp_path / "w.pth", log=lambda _: None)
    assert torch.serialization.get_safe_globals() == before


def test_a_method_cannot_be_reached_through_a_stand_in(tmp_path: Path, torch: Any) -> None:
    """A call of what is no global is refused too."""
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02X\x01\x00\x00\x00aX\x01\x00\x00\x00b\x85R.")
        archive.writestr("archive/version", "3\n")
    with pytest.raises(UserError, match="never run"):
        read_state_dict(tmp_path / "w.pth")
