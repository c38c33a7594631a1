"""Tables of keys against networks of timm and transformers (scripts/goldens/namings.py)."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.models import create_model
from fakd_jax.models.checkpoint import build_model, save_model
from fakd_jax.models.state import model_state
from fakd_jax.models.torch_weights import load_state_dict, read_weights, to_state_dict
from fakd_jax.models.torch_weights.names import (
    differing_settings,
    key_table,
    matching_table,
    recognise,
)
from fakd_jax.models.torch_weights.pretrained import load_pretrained, pretrained_settings
from scripts.goldens import common

GOLDENS = np.load(Path(__file__).parents[2] / "goldens" / "namings.npz")
SHAPES = json.loads(str(GOLDENS["shapes"]))
SLOW = (
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "mobilenet_v3_large",
    "convnext_tiny",
)
SAME_AS_OTHERS = (
    ("resnet18", "timm"),
    ("efficientnet_b0", "timm"),
    ("efficientnet_b0", "timm tf_"),
    ("convnext_tiny", "timm"),
)
EVERY = [
    pytest.param(
        arch,
        library,
        marks=[pytest.mark.slow] if arch in SLOW or (arch, library) in SAME_AS_OTHERS else [],
    )
    for arch, libraries in SHAPES.items()
    for library in libraries
]
TENSORFLOW = {"batch_norm_epsilon": 1e-3, "padding": "tensorflow"}
SETTINGS = {
    ("mobilenet_v3_small", "timm"): {"batch_norm_epsilon": 1e-5},
    ("mobilenet_v3_large", "timm"): {"batch_norm_epsilon": 1e-5},
    ("mobilenet_v3_small", "timm tf_"): {"padding": "tensorflow"},
    ("mobilenet_v3_large", "timm tf_"): {"padding": "tensorflow"},
    ("efficientnet_b0", "timm tf_"): TENSORFLOW,
    ("efficientnet_b0", "transformers"): TENSORFLOW,
    ("convnext_tiny", "transformers"): {"head_norm_epsilon": 1e-12},
}


def state_dict(arch: str, library: str) -> dict[str, np.ndarray]:
    shapes = {key: tuple(shape) for key, shape in SHAPES[arch][library].items()}
    return common.state_dict(shapes)


def naming(library: str) -> str:
    return "timm_tf" if library == "timm tf_" else ""


def skeleton(arch: str, **settings: object) -> nnx.Module:
    return nnx.eval_shape(
        lambda: create_model(arch, num_classes=common.NUM_CLASSES, rngs=nnx.Rngs(0), **settings)
    )


def logits(model: nnx.Module) -> np.ndarray:
    model.eval()
    return np.asarray(nnx.jit(lambda model, x: model(x))(model, jnp.asarray(common.images())))


def difference(actual: np.ndarray, arch: str, library: str) -> float:
    expected = GOLDENS[f"{arch}/{library}"]
    return float(np.max(np.abs(actual - expected)) / np.max(np.abs(expected)))


@pytest.mark.parametrize(("arch", "library"), EVERY)
def test_logits_are_the_librarys_and_the_keys_come_back(arch: str, library: str) -> None:
    weights = state_dict(arch, library)
    table = recognise(skeleton(arch), weights, naming(library))
    assert recognise(skeleton(arch), weights, library.replace(" tf_", "_tf")).rows == table.rows
    settings = differing_settings(skeleton(arch), table)
    assert settings == SETTINGS.get((arch, library), {})
    model = skeleton(arch, **settings)
    report = load_state_dict(model, weights, table=table)
    assert report.naming == table.naming
    assert difference(logits(model), arch, library) < 1e-4
    back = to_state_dict(model_state(model), table)
    assert back.keys() == {key for key in weights if not key.endswith("num_batches_tracked")}
    for key, value in back.items():
        np.testing.assert_array_equal(value, weights[key], err_msg=key)


def test_another_librarys_settings_would_give_other_logits() -> None:
    arch = "mobilenet_v3_small"
    model = skeleton(arch)
    table = key_table(model, "timm")
    load_state_dict(model, state_dict(arch, "timm"), table=table)
    assert difference(logits(model), arch, "timm") > 1e-4


def test_weights_of_a_network_with_other_settings_are_refused() -> None:
    weights = state_dict("mobilenet_v3_small", "timm")
    with pytest.raises(UserError, match=r"timm.*batch_norm_epsilon=1e-05"):
        load_state_dict(skeleton("mobilenet_v3_small"), weights)
    load_state_dict(skeleton("mobilenet_v3_small", batch_norm_epsilon=1e-5), weights)


@pytest.mark.parametrize(
    "arch",
    [
        "resnet18",
        "efficientnet_b0",
        pytest.param("convnext_tiny", marks=pytest.mark.slow),
    ],
)
def test_a_model_of_transformers_without_its_head(arch: str) -> None:
    weights = {
        key.partition(".")[2]: value
        for key, value in state_dict(arch, "transformers").items()
        if not key.startswith("classifier")
    }
    table = recognise(skeleton(arch), weights)
    assert table.naming == "transformers"
    report = load_state_dict(skeleton(arch, **table.settings), weights, allow_missing=[table.head])
    assert {key.partition(".")[0] for key in report.fresh} == {"classifier"}


PREFIXED = [
    ("resnet18", "transformers", "model."),
    ("mobilenet_v3_small", "timm", "_orig_mod.module."),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (
            ("efficientnet_b0", "transformers", "net."),
            ("convnext_tiny", "timm", "model.backbone."),
            ("convnext_tiny", "transformers", "module."),
        )
    ),
]


@pytest.mark.parametrize(("arch", "library", "prefix"), PREFIXED)
def test_a_prefix_hides_no_naming(arch: str, library: str, prefix: str, tmp_path: Path) -> None:
    weights = state_dict(arch, library)
    saved = {f"{prefix}{key}": value for key, value in weights.items()}
    saved["criterion.weight"] = np.ones(4, np.float32)
    safetensors.numpy.save_file(saved, tmp_path / "w.safetensors")
    found = read_weights(tmp_path / "w.safetensors", skeleton(arch))
    assert found.table is not None
    assert (found.table.naming, found.prefix) == (library, prefix)
    assert found.arrays.keys() == weights.keys()
    assert list(found.beside) == ["criterion.weight"]
    settings = SETTINGS.get((arch, library), {})
    assert pretrained_settings(arch, tmp_path / "w.safetensors") == settings
    report = load_state_dict(skeleton(arch, **settings), saved)
    assert (report.naming, report.fresh) == (library, ())


def test_which_of_timms_networks_is_asked_where_the_name_says_tf(tmp_path: Path) -> None:
    arch, file = "mobilenet_v3_small", tmp_path / "tf_mobilenetv3.safetensors"
    safetensors.numpy.save_file(state_dict(arch, "timm"), file)
    with pytest.raises(UserError, match="--naming timm_tf"):
        read_weights(file, skeleton(arch))
    found = read_weights(file, skeleton(arch), naming="timm_tf")
    assert found.table is not None
    assert found.table.settings["padding"] == "tensorflow"


@pytest.mark.parametrize(
    ("settings", "naming"),
    [
        ({}, "torchvision"),
        ({"batch_norm_epsilon": 1e-5}, "timm"),
        ({"padding": "tensorflow"}, "timm_tf"),
    ],
)
def test_a_network_goes_back_to_the_library_that_has_it(
    settings: dict[str, object], naming: str
) -> None:
    assert matching_table(skeleton("mobilenet_v3_small", **settings)).naming == naming


def test_a_network_that_no_library_has() -> None:
    with pytest.raises(UserError, match=r"no library has a ResNet with batch_norm_epsilon 0\.5"):
        matching_table(skeleton("resnet18", batch_norm_epsilon=0.5))


def test_a_naming_without_a_table_lists_the_others() -> None:
    with pytest.raises(UserError, match=r"timm_tf for ResNet.*torchvision, timm, transformers"):
        key_table(skeleton("resnet18"), "timm_tf")


def test_a_stem_of_another_rank_is_misshaped() -> None:
    weights = state_dict("convnext_tiny", "timm")
    weights["stages.0.blocks.0.mlp.fc1.weight"] = np.zeros((384, 96, 1, 1), np.float32)
    with pytest.raises(UserError, match=r"mlp\.fc1\.weight has \(384, 96, 1, 1\)"):
        load_state_dict(skeleton("convnext_tiny"), weights)


def test_a_checkpoint_keeps_the_settings_and_hands_them_on(tmp_path: Path) -> None:
    arch, settings = "mobilenet_v3_small", {"batch_norm_epsilon": 1e-5}
    model = skeleton(arch, **settings)
    load_state_dict(model, state_dict(arch, "timm"))
    metadata = {"arch": arch, "num_classes": common.NUM_CLASSES, "overrides": settings}
    save_model(tmp_path / "converted", model_state(model), metadata)

    stored, _ = build_model(tmp_path / "converted")
    assert difference(logits(stored), arch, "timm") < 1e-4
    assert pretrained_settings(arch, tmp_path / "converted") == settings
    with pytest.raises(UserError, match="batch_norm_epsilon=1e-05"):
        load_pretrained(skeleton(arch), arch, tmp_path / "converted")
    fresh = skeleton(arch, **settings)
    load_pretrained(fresh, arch, tmp_path / "converted")
    jax.tree.map(np.testing.assert_array_equal, model_state(fresh), model_state(model))
