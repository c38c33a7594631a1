"""Reading files of weights: safetensors without PyTorch, and what PyTorch wrote."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.models import create_model
from fakd_jax.models.torch_weights.files import as_array, read_state_dict


def skeleton() -> nnx.Module:
    return nnx.eval_shape(lambda: create_model("tiny_resnet", num_classes=1, rngs=nnx.Rngs(0)))


class TestSafetensors:
    def test_without_torch(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "torch", None)
        values = {
            "a": np.arange(6, dtype=np.float32).reshape(2, 3),
            "half": np.array([1.5, -2], np.float16),
            "n": np.array(3, np.int64),
        }
        file = tmp_path / "w.safetensors"
        safetensors.numpy.save_file(values, file)
        read = read_state_dict(file)
        assert {key: value.dtype for key, value in read.items()} == {
            "a": np.float32,
            "half": np.float32,
            "n": np.int64,
        }
        for key, value in values.items():
            np.testing.assert_array_equal(read[key], value)

    def test_bfloat16_and_prefixes(self, tmp_path: Path) -> None:
        value = np.array([[1.5, -0.25]], ml_dtypes.bfloat16)
        entry = {"dtype": "BF16", "shape": value.shape, "data_offsets": [0, value.nbytes]}
        header = json.dumps({"module._orig_mod.fc.weight": entry}).encode()
        file = tmp_path / "w.safetensors"
        file.write_bytes(len(header).to_bytes(8, "little") + header + value.tobytes())
        assert list(read_state_dict(file)) == ["module._orig_mod.fc.weight"]
        read = read_state_dict(file, model=skeleton())
        assert list(read) == ["fc.weight"]
        assert read["fc.weight"].dtype == np.float32
        np.testing.assert_array_equal(read["fc.weight"], [[1.5, -0.25]])

    def test_damaged_or_empty(self, tmp_path: Path) -> None:
        file = tmp_path / "w.safetensors"
        safetensors.numpy.save_file({"a": np.ones(9, np.float32)}, file)
        whole = file.read_bytes()
        for content in (b"", b"not found", whole[:-3]):
            file.write_bytes(content)
            with pytest.raises(UserError, match="not a readable safetensors file"):
                read_state_dict(file)
        safetensors.numpy.save_file({}, file)
        with pytest.raises(UserError, match="no state dict in"):
            read_state_dict(file)


def test_wrong_paths(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_state_dict(tmp_path / "nowhere.pth")
    with pytest.raises(UserError, match=r"has no \.safetensors file"):
        read_state_dict(tmp_path)


def test_torch_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "w.pth").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"pip install -e '.\[convert\]'"):
        read_state_dict(tmp_path / "w.pth")


def test_arrays_of_jax_are_taken() -> None:
    assert as_array(jax.numpy.ones(2, jax.numpy.bfloat16)).dtype == np.float32


@pytest.mark.torch
class TestTorchFiles:
    """Files that PyTorch wrote, in the shapes found in the wild."""

    @pytest.fixture
    def torch(self) -> Any:
        return pytest.importorskip("torch")

    @pytest.mark.parametrize("under", [None, "state_dict", "model", "model_state_dict"])
    @pytest.mark.parametrize("prefix", ["", "module."])
    @pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
    def test_variants(
        self, tmp_path: Path, torch: Any, under: str | None, prefix: str, dtype: str
    ) -> None:
        tensor = torch.tensor([[1.5, -0.25]], dtype=getattr(torch, dtype))
        weights = {f"{prefix}fc.weight": tensor, f"{prefix}n": torch.tensor(3)}
        saved = weights if under is None else {under: weights, "epoch": 3}
        torch.save(saved, tmp_path / "w.pth")
        read = read_state_dict(tmp_path / "w.pth", model=skeleton())
        assert set(read) == {"fc.weight", "n"}
        assert read["fc.weight"].dtype == np.float32
        np.testing.assert_array_equal(read["fc.weight"], [[1.5, -0.25]])

    def test_old_format_and_pt(self, tmp_path: Path, torch: Any) -> None:
        weights = {"a": torch.ones(2)}
        torch.save(weights, tmp_path / "w.pt", _use_new_zipfile_serialization=False)
        assert set(read_state_dict(tmp_path / "w.pt")) == {"a"}

    def test_pickled_code_is_refused_and_not_run(self, tmp_path: Path, torch: Any) -> None:
        witness = tmp_path / "ran"

        class Evil:
            def __reduce__(self) -> Any:
                return Path.touch, (witness,)

        module = torch.nn.Linear(1, 1)
        for content in ({"a": torch.ones(1), "b": Evil()}, module):
            torch.save(content, tmp_path / "w.pth")
            with pytest.raises(UserError, match="holds pickled Python code, which is never run"):
                read_state_dict(tmp_path / "w.pth")
        assert not witness.exists()

    def test_not_a_checkpoint(self, tmp_path: Path, torch: Any) -> None:
        file = tmp_path / "w.pth"
        torch.save({"a": torch.ones(999)}, file)
        whole = file.read_bytes()
        for content in (b"", b"not found", whole[: len(whole) // 2], b"PK\x03\x04"):
            file.write_bytes(content)
            with pytest.raises(UserError, match="is not a PyTorch checkpoint, or a damaged one"):
                read_state_dict(file)

    def test_nothing_like_a_state_dict(self, tmp_path: Path, torch: Any) -> None:
        file, one = tmp_path / "w.pth", torch.ones(1)
        for content, message in [
            (one, "no state dict in"),
            ({}, "no state dict in"),
            ({"epoch": 3}, "no state dict in"),
            ({"model": {"a": one}, "state_dict": {"a": one.clone()}}, "in several places"),
        ]:
            torch.save(content, file)
            with pytest.raises(UserError, match=message):
                read_state_dict(file)

    def test_sparse_is_refused(self, torch: Any) -> None:
        with pytest.raises(UserError, match="quantised or sparse"):
            as_array(torch.ones(2, 2).to_sparse())

    def test_a_view_that_repeats_its_values_is_not_expanded(
        self, tmp_path: Path, torch: Any
    ) -> None:
        torch.save({"a": torch.ones(1).expand(2**40)}, tmp_path / "w.pth")
        with pytest.raises(UserError, match="lacks most of the values of a"):
            read_state_dict(tmp_path / "w.pth")

    def test_a_compressed_archive_is_refused_before_it_swells(
        self, tmp_path: Path, torch: Any
    ) -> None:
        torch.save({"a": torch.zeros(10**6)}, tmp_path / "w.pth")
        with (
            zipfile.ZipFile(tmp_path / "w.pth") as saved,
            zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb,
        ):
            for name in saved.namelist():
                bomb.writestr(name, saved.read(name))
        with pytest.raises(UserError, match="is compressed"):
            read_state_dict(tmp_path / "bomb.pth")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.", "no state dict"),  # in itself
            (b"\x80\x02.", "not a PyTorch checkpoint"),  # pops an empty stack
            (b"\x80\x02h\x05.", "not a PyTorch checkpoint"),  # an unknown memo
            (b"\x80\x02X\x05", "not a PyTorch checkpoint"),  # a length cut short
        ],
    )
    def test_damaged_pickles(
        self, tmp_path: Path, torch: Any, content: bytes, message: str
    ) -> None:
        with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
            archive.writestr("archive/data.pkl", content)
            archive.writestr("archive/version", "3\n")
        with pytest.raises(UserError, match=message):
            read_state_dict(tmp_path / "w.pth")
