"""`fakd convert`: what it writes, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from fakd_jax.convert import __main__ as command
from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.errors import UserError
from fakd_jax.export.run import export_checkpoint
from fakd_jax.inference.predictor import Predictor
from fakd_jax.models import create_model
from fakd_jax.models.checkpoint import build_model, load_model
from fakd_jax.models.state import model_state
from fakd_jax.models.torch_weights import to_state_dict
from fakd_jax.models.torch_weights.names import key_table
from fakd_jax.models.torch_weights.pretrained import load_pretrained
from fakd_jax.runtime.hashing import sha256_of_file


@pytest.fixture(autouse=True)
def _no_compilation_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "use_compilation_cache", lambda: None)


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


def convert(file: Path | str, output: Path, *flags: str) -> None:
    command.main(
        ["--arch", "tiny_mobilenet", "--input", str(file), "--output", str(output), *flags]
    )


def test_a_complete_file(
    complete: Path,
    weights: dict[str, np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    convert(complete, tmp_path / "out")
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
    backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=r"classifier\.0\.bias, .*--allow-missing classifier"):
        convert(backbone, tmp_path / "out", "--num-classes", "4")
    assert not (tmp_path / "out").exists()
    convert(backbone, tmp_path / "out", "--num-classes", "4", "--allow-missing", "classifier")
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert metadata["num_classes"] == 4
    assert metadata["head"] == "absent"
    assert metadata["source"]["fresh"] == [
        f"classifier.{layer}.{kind}" for layer in (0, 3) for kind in ("bias", "weight")
    ]
    assert "initialised at random: classifier.0.bias" in capsys.readouterr().out


def test_another_class_count_only_when_allowed(complete: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"classifier\.3\.bias has \(6,\), the model \(4,\)"):
        convert(complete, tmp_path / "out", "--num-classes", "4")
    convert(complete, tmp_path / "out", "--num-classes", "4", "--allow-missing", "classifier")
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert metadata["head"] == "untrained"
    assert metadata["source"]["fresh"] == ["classifier.3.bias", "classifier.3.weight"]


def test_the_seed_decides_what_is_drawn(backbone: Path, tmp_path: Path) -> None:
    flags = ("--num-classes", "4", "--allow-missing", "classifier", "--seed")
    heads = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        convert(backbone, tmp_path / name, *flags, seed)
        state, _ = load_model(tmp_path / name)
        heads.append(np.asarray(state["params"]["classifier_3"]["kernel"]))
    np.testing.assert_array_equal(heads[0], heads[1])
    assert not np.array_equal(heads[0], heads[2])


def test_outputs_that_may_not_be_overwritten(
    complete: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    precious = tmp_path / "thesis"
    precious.mkdir()
    convert(complete, precious)  # an empty folder is fine
    convert(complete, precious)  # and so is a converted checkpoint
    assert "replaced" in capsys.readouterr().out
    (precious / "chapter1.tex").write_text("")
    for output in (precious, complete):
        with pytest.raises(UserError, match="exists and is not a converted checkpoint"):
            convert(complete, output)
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
def test_wrong_flags(complete: Path, tmp_path: Path, flags: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        convert(complete, tmp_path / "out", *flags)
    assert not (tmp_path / "out").exists()


def test_input_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        convert(tmp_path / "nowhere.pth", tmp_path / "out")


def test_imagenet_without_weights_for_the_arch(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no ImageNet weights for 'tiny_mobilenet'"):
        convert("imagenet", tmp_path / "out")


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
    shared: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arch: str,
    file: str,
    flags: list[str],
    arrays: int,
) -> None:
    source = shared / "weights" / file
    command.main(
        ["--arch", arch, "--input", str(source), "--output", str(tmp_path / "out"), *flags]
    )
    assert f"loaded {arrays} arrays" in capsys.readouterr().out


TASK = {
    "--class-names": "a,b,c,d,e,notumor",
    "--image-size": "48",
    "--mean": "0.485,0.456,0.406",
    "--std": "0.2",
}


def flags_of(task: dict[str, str]) -> list[str]:
    return [part for pair in task.items() for part in pair]


def test_a_complete_checkpoint(
    complete: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convert(complete, tmp_path / "out", *flags_of(TASK), "--negative-class", "notumor")
    predictor = Predictor.from_checkpoint(tmp_path / "out")
    assert predictor.class_names == ("a", "b", "c", "d", "e", "notumor")
    assert predictor.metadata["negative_class"] == "notumor"
    assert predictor.preprocessing == Preprocessing(48, (0.485, 0.456, 0.406), (0.2, 0.2, 0.2))
    printed = capsys.readouterr().out
    assert "a, b, c, d, e, notumor; images of 48 pixels" in printed
    convert(complete, tmp_path / "bare")
    assert "convert again with --class-names" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"lacks 'preprocessing'.*--class-names"):
        Predictor.from_checkpoint(tmp_path / "bare")


@pytest.mark.parametrize("missing", TASK)
def test_an_incomplete_task(complete: Path, tmp_path: Path, missing: str) -> None:
    task = {flag: value for flag, value in TASK.items() if flag != missing}
    with pytest.raises(UserError, match=f"needs {missing} too"):
        convert(complete, tmp_path / "out", *flags_of(task))
    with pytest.raises(UserError, match="needs --class-names, --image-size, --mean, --std too"):
        convert(complete, tmp_path / "out", "--negative-class", "notumor")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--class-names": "a,b"}, r"head has 6 outputs, and --class-names has 2 \(a, b\)"),
        ({"--class-names": "a,b,c,d,e,a"}, "class names given twice: a"),
        ({"--class-names": "a,,c,d,e,f"}, "are not two or more names"),
        ({"--num-classes": "5"}, "--num-classes is 5, and --class-names has 6"),
        ({"--negative-class": "healthy"}, "'healthy' is none of the classes"),
        ({"--mean": "0.5,0.5"}, "must be three numbers each"),
        ({"--std": "0"}, "must be three numbers each, std positive"),
        ({"--std": "grey"}, "'grey' is not one number, or three"),
        ({"--image-size": "9000"}, "image_size is 9000"),
    ],
)
def test_a_wrong_task(
    complete: Path, tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        convert(complete, tmp_path / "out", *flags_of(TASK | changes))
    assert not (tmp_path / "out").exists()


def test_a_head_that_is_left_out_takes_the_classes_that_are_named(
    backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convert(backbone, tmp_path / "out", *flags_of(TASK), "--allow-missing", "classifier")
    assert json.loads((tmp_path / "out" / "metadata.json").read_text())["num_classes"] == 6
    assert "its head is absent" in capsys.readouterr().out
    with pytest.raises(UserError, match="would be guesses"):
        Predictor.from_checkpoint(tmp_path / "out")


def test_what_is_chosen_is_said_even_if_it_does_not_fit(
    weights: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrapped = {f"net.{key}": value for key, value in weights.items()}
    head = {"head.weight": wrapped.pop("net.classifier.3.weight")}
    head["head.bias"] = wrapped.pop("net.classifier.3.bias")
    safetensors.numpy.save_file(wrapped | head, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=r"2 missing"):
        convert(tmp_path / "w.safetensors", tmp_path / "out")
    printed = capsys.readouterr().out
    assert all(part in printed for part in ("prefix net. ", "head.bias", "head.weight"))
    convert(tmp_path / "w.safetensors", tmp_path / "out", "--head", "head")
    model, metadata = build_model(tmp_path / "out")
    assert metadata["head"] == "pretrained"
    assert any("head taken as classifier.3" in note for note in metadata["source"]["notes"])
    converted = to_state_dict(model_state(model), key_table(model))
    for key, value in weights.items():
        np.testing.assert_array_equal(converted[key], value)


@pytest.fixture
def timm(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The state dict as timm names it, wrapped."""
    model = create_model("tiny_mobilenet", num_classes=6, rngs=nnx.Rngs(5))
    state_dict = to_state_dict(model_state(model), key_table(model, "timm"))
    return {f"module.{key}": np.ascontiguousarray(value) for key, value in state_dict.items()}


def test_timms_network_keeps_its_epsilon_there_and_back(
    timm: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    safetensors.numpy.save_file(timm, tmp_path / "w.safetensors")
    convert(tmp_path / "w.safetensors", tmp_path / "out", *flags_of(TASK))
    printed = capsys.readouterr().out
    for line in ("prefix module. taken off", "named as in timm", "has batch_norm_epsilon 1e-05"):
        assert line in printed
    model, metadata = build_model(tmp_path / "out")
    assert metadata["overrides"] == {"batch_norm_epsilon": 1e-5}
    assert metadata["source"]["naming"] == "timm"
    assert model.batch_norm_epsilon == 1e-5

    export_checkpoint(tmp_path / "out", tmp_path / "back.safetensors")
    assert "timm's tiny_mobilenet" in capsys.readouterr().out
    back = safetensors.numpy.load_file(tmp_path / "back.safetensors")
    assert {f"module.{key}" for key in back} == timm.keys()
    for key, value in back.items():
        np.testing.assert_array_equal(value, timm[f"module.{key}"])


def test_what_conversion_draws_of_timms_network_is_not_taken_for_weights(
    timm: dict[str, np.ndarray], tmp_path: Path
) -> None:
    backbone = {key: value for key, value in timm.items() if ".classifier." not in key}
    replaced = {"module.classifier.1.weight": np.zeros((6, 9), np.float32)}
    safetensors.numpy.save_file(backbone | replaced, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="--allow-missing classifier"):
        convert(tmp_path / "w.safetensors", tmp_path / "out")
    flags = ("--allow-missing", "classifier", "--num-classes", "6")
    convert(tmp_path / "w.safetensors", tmp_path / "out", *flags)
    fresh = ["classifier.3.bias", "classifier.3.weight"]
    assert json.loads((tmp_path / "out/metadata.json").read_text())["source"]["fresh"] == fresh
    model = create_model("tiny_mobilenet", num_classes=6, batch_norm_epsilon=1e-5, rngs=nnx.Rngs(1))
    assert load_pretrained(model, "tiny_mobilenet", tmp_path / "out").fresh == tuple(fresh)


def test_a_linear_layer_of_another_name_in_timms_network(
    timm: dict[str, np.ndarray], tmp_path: Path
) -> None:
    for kind in ("weight", "bias"):
        timm[f"module.classifier.1.{kind}"] = timm.pop(f"module.classifier.{kind}")
    safetensors.numpy.save_file(timm, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=r"add --head classifier\.1"):
        convert(tmp_path / "w.safetensors", tmp_path / "out")
    convert(tmp_path / "w.safetensors", tmp_path / "out", "--head", "classifier.1")
    assert build_model(tmp_path / "out")[1]["head"] == "pretrained"


def test_a_network_of_ones_own_is_imported_first(
    complete: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
from fakd_jax.models.registry import create_model, register

@register("my_mobilenet")
def my_mobilenet(**kwargs):
    return create_model("tiny_mobilenet", **kwargs)
"""
    (tmp_path / "my_networks.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    convert(complete, tmp_path / "out", "--arch", "my_mobilenet", "--import", "my_networks")
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert (metadata["arch"], metadata["module"]) == ("my_mobilenet", "my_networks")
