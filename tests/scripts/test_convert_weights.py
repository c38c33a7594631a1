"""The converter's command line: what it writes, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import jax
import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.models import create_model
from fakd_jax.models.checkpoint import build_model, load_model
from fakd_jax.models.state import model_state
from fakd_jax.models.torch_weights import to_state_dict
from fakd_jax.models.torch_weights.names import key_table
from fakd_jax.runtime.hashing import sha256_of_file


@pytest.fixture(scope="module")
def script(load_script) -> ModuleType:
    return load_script("convert_weights")


@pytest.fixture(autouse=True)
def _no_compilation_cache(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "use_compilation_cache", lambda: None)


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    """A complete state dict of `tiny_mobilenet` with 6 classes."""
    model = create_model("tiny_mobilenet", num_classes=6, rngs=nnx.Rngs(5))
    state_dict = to_state_dict(model_state(model), key_table(model))
    return {key: np.ascontiguousarray(value) for key, value in state_dict.items()}


@pytest.fixture
def complete(tmp_path: Path, weights: dict[str, np.ndarray]) -> Path:
    safetensors.numpy.save_file(weights, tmp_path / "complete.safetensors")
    return tmp_path / "complete.safetensors"


@pytest.fixture
def backbone(tmp_path: Path, weights: dict[str, np.ndarray]) -> Path:
    kept = {key: value for key, value in weights.items() if key.startswith("features.")}
    safetensors.numpy.save_file(kept, tmp_path / "backbone.safetensors")
    return tmp_path / "backbone.safetensors"


def convert(script: ModuleType, file: Path | str, output: Path, *flags: str) -> None:
    script.main(["--arch", "tiny_mobilenet", "--input", str(file), "--output", str(output), *flags])


def test_a_complete_file(
    script: ModuleType,
    complete: Path,
    weights: dict[str, np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    convert(script, complete, tmp_path / "out")
    printed = capsys.readouterr().out
    model, metadata = build_model(tmp_path / "out")
    converted = to_state_dict(model_state(model), key_table(model))
    for key, value in weights.items():
        np.testing.assert_array_equal(converted[key], value)
    assert metadata["arch"] == "tiny_mobilenet"
    assert metadata["num_classes"] == 6  # as the file's head has
    assert metadata["head"] == "pretrained"
    assert metadata["source"]["file"] == "complete.safetensors"
    assert metadata["source"]["sha256"] == sha256_of_file(complete)
    assert metadata["source"]["fresh"] == []
    for line in (
        f"loaded {len(weights)} arrays",
        "features.3 ",
        sha256_of_file(complete),
        f"wrote {tmp_path / 'out'} (",
        "6 classes, head pretrained",
    ):
        assert line in printed


def test_a_backbone_only_when_allowed(
    script: ModuleType, backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=r"classifier\.0\.bias, .*--allow-missing classifier"):
        convert(script, backbone, tmp_path / "out", "--num-classes", "4")
    assert not (tmp_path / "out").exists()
    convert(
        script, backbone, tmp_path / "out", "--num-classes", "4", "--allow-missing", "classifier"
    )
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert metadata["num_classes"] == 4
    assert metadata["head"] == "absent"
    assert metadata["source"]["fresh"] == [
        f"classifier.{layer}.{kind}" for layer in (0, 3) for kind in ("bias", "weight")
    ]
    assert "initialised at random: classifier.0.bias" in capsys.readouterr().out


def test_another_class_count_only_when_allowed(
    script: ModuleType, complete: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"classifier\.3\.bias has \(6,\), the model \(4,\)"):
        convert(script, complete, tmp_path / "out", "--num-classes", "4")
    convert(
        script, complete, tmp_path / "out", "--num-classes", "4", "--allow-missing", "classifier"
    )
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert metadata["head"] == "untrained"
    assert metadata["source"]["fresh"] == ["classifier.3.bias", "classifier.3.weight"]


def test_the_seed_decides_what_is_drawn(script: ModuleType, backbone: Path, tmp_path: Path) -> None:
    flags = ("--num-classes", "4", "--allow-missing", "classifier", "--seed")
    heads = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        convert(script, backbone, tmp_path / name, *flags, seed)
        state, _ = load_model(tmp_path / name)
        heads.append(np.asarray(state["params"]["classifier_3"]["kernel"]))
    np.testing.assert_array_equal(heads[0], heads[1])
    assert not np.array_equal(heads[0], heads[2])


def test_outputs_that_may_not_be_overwritten(
    script: ModuleType, complete: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    precious = tmp_path / "thesis"
    precious.mkdir()
    convert(script, complete, precious)  # an empty folder is fine
    convert(script, complete, precious)  # and so is a converted checkpoint
    assert "replaced" in capsys.readouterr().out
    (precious / "chapter1.tex").write_text("")
    for output in (precious, complete):
        with pytest.raises(UserError, match="exists and is not a converted checkpoint"):
            convert(script, complete, output)
    assert (precious / "chapter1.tex").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--num-classes", "0"], "an integer at least 1, not 0"),
        (["--num-classes", "four"], "'four' is not an integer"),
        (["--arch", "alexnet"], "unknown network 'alexnet'"),
        (["--colour", "red"], "unrecognized arguments: --colour red"),
        (["--allow_missing", "clasifier"], "allow_missing names clasifier"),
    ],
)
def test_wrong_flags(
    script: ModuleType, complete: Path, tmp_path: Path, flags: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        convert(script, complete, tmp_path / "out", *flags)
    assert not (tmp_path / "out").exists()


def test_input_that_is_not_there(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        convert(script, tmp_path / "nowhere.pth", tmp_path / "out")


def test_imagenet_without_weights_for_the_arch(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no ImageNet weights for 'tiny_mobilenet'"):
        convert(script, "imagenet", tmp_path / "out")


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "file", "flags", "arrays"),
    [
        ("resnet50", "resnet50_imagenet.pth", [], 267),
        (
            "mobilenet_v3_large",
            "mobilenet_v3_large_backbone.pth",
            ["--allow-missing", "classifier"],
            262,
        ),
    ],
)
def test_real_weights(
    script: ModuleType,
    shared: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arch: str,
    file: str,
    flags: list[str],
    arrays: int,
) -> None:
    source = shared / "weights" / file
    script.main(["--arch", arch, "--input", str(source), "--output", str(tmp_path / "out"), *flags])
    assert f"loaded {arrays} arrays" in capsys.readouterr().out


def test_weights_of_timm_keep_its_epsilon(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = nnx.eval_shape(lambda: create_model("tiny_mobilenet", num_classes=6, rngs=nnx.Rngs(0)))
    ones = jax.tree.map(lambda leaf: np.ones(leaf.shape), model_state(model))
    state_dict = to_state_dict(ones, key_table(model, "timm"))
    file, output = tmp_path / "tf_mobilenet.safetensors", tmp_path / "converted"
    safetensors.numpy.save_file(
        {key: np.ascontiguousarray(value, np.float32) for key, value in state_dict.items()}, file
    )
    with pytest.raises(UserError, match="add --naming timm_tf, or --naming timm if it is not"):
        convert(script, file, output)
    convert(script, file, output, "--naming", "timm")
    printed = capsys.readouterr().out
    assert "the keys are named as in timm" in printed
    assert "batch_norm_epsilon 1e-05" in printed
    assert load_model(output)[1]["overrides"] == {"batch_norm_epsilon": 1e-5}
    network, _ = build_model(output)
    assert network.batch_norm_epsilon == 1e-5
    convert(script, file, output, "--naming", "timm_tf")
    assert load_model(output)[1]["overrides"] == {"padding": "tensorflow"}
