"""Weights from PyTorch: the tables, strictness in both directions, heads."""

from __future__ import annotations

import math
import re

import ml_dtypes
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from fakd_jax.errors import UserError
from fakd_jax.models import create_model
from fakd_jax.models.state import flatten_state, model_state
from fakd_jax.models.torch_weights import load_state_dict, to_state_dict
from fakd_jax.models.torch_weights.names import KeyTable, Row, key_table
from fakd_jax.models.torch_weights.names.resnet import TORCHVISION as RESNET

ARCHS = ["tiny_resnet", "tiny_mobilenet"]
HEADS = {"tiny_resnet": "fc", "tiny_mobilenet": "classifier"}


@pytest.fixture(scope="module")
def drawn() -> dict[str, nnx.Module]:
    """A network of each family; `fresh` gives tests their own copy."""
    return {arch: create_model(arch, num_classes=4, rngs=nnx.Rngs(0)) for arch in ARCHS}


def fresh(drawn: dict[str, nnx.Module], arch: str) -> nnx.Module:
    return nnx.clone(drawn[arch])


def random_state_dict(model: nnx.Module, seed: int = 1) -> dict[str, np.ndarray]:
    """What torchvision's network of the same sizes might have, `num_batches_tracked` included."""
    random = np.random.default_rng(seed)
    weights = to_state_dict(model_state(model), key_table(model))
    for key, value in list(weights.items()):
        weights[key] = random.normal(size=value.shape).astype(np.float32)
        if key.endswith("running_var"):
            counter = key.replace("running_var", "num_batches_tracked")
            weights[counter] = np.array(7, np.int64)
    return weights


def flat(model: nnx.Module) -> dict[str, np.ndarray]:
    return {path: np.asarray(leaf) for path, leaf in flatten_state(model_state(model)).items()}


def assert_unchanged(model: nnx.Module, before: dict[str, np.ndarray]) -> None:
    after = flat(model)
    assert all(np.array_equal(after[path], before[path]) for path in before)


class TestTables:
    @pytest.mark.parametrize(
        ("arch", "arrays", "parameters"),
        [("resnet50", 267, 25_557_032), ("mobilenet_v3_large", 266, 5_483_032)],
    )
    def test_every_path_has_one_key_and_back(self, arch: str, arrays: int, parameters: int) -> None:
        model = nnx.eval_shape(lambda: create_model(arch, num_classes=1000, rngs=nnx.Rngs(0)))
        table = key_table(model)
        leaves = flatten_state(model_state(model))
        keys = {path: table.key_of(path) for path in leaves}
        assert len(leaves) == len(set(keys.values())) == arrays
        for path, key in keys.items():
            assert key is not None
            assert [row.path_of(key) for row in table.rows if row.matches(key)] == [path]
        counted = sum(
            math.prod(leaf.shape) for path, leaf in leaves.items() if path.startswith("params.")
        )
        assert counted == parameters

    def test_dots_in_templates_are_dots(self) -> None:
        assert not any(row.matches("fcxweight") for row in RESNET.rows)
        assert not any(row.matches("layer1.0.conv1.weight.x") for row in RESNET.rows)

    def test_another_family(self) -> None:
        with pytest.raises(UserError, match="no key table for Linear"):
            load_state_dict(nnx.Linear(1, 1, rngs=nnx.Rngs(0)), {})


class TestLoading:
    @pytest.mark.parametrize("arch", ARCHS)
    def test_everything_arrives(self, drawn: dict[str, nnx.Module], arch: str) -> None:
        model = fresh(drawn, arch)
        weights = random_state_dict(model)
        report = load_state_dict(model, weights)
        back = to_state_dict(model_state(model), key_table(model))
        for key, value in back.items():
            np.testing.assert_array_equal(value, weights[key])
        assert report.loaded == len(back)
        assert report.fresh == report.left_out == ()
        assert report.head == "pretrained"
        assert set(report.ignored) == weights.keys() - back.keys()
        assert all(key.endswith(".num_batches_tracked") for key in report.ignored)
        trained = flat(model)
        sizes = [leaf.size for path, leaf in trained.items() if path.startswith("params")]
        assert sum(report.parameters.values()) == sum(sizes)
        assert report.statistics == sum(leaf.size for leaf in trained.values()) - sum(sizes)
        assert f"{sum(sizes):,} parameters" in report.summary()

    def test_layouts(self, drawn: dict[str, nnx.Module]) -> None:
        resnet, mobilenet = fresh(drawn, "tiny_resnet"), fresh(drawn, "tiny_mobilenet")
        weights = random_state_dict(resnet)
        load_state_dict(resnet, weights)
        paths = flat(resnet)
        conv, linear = paths["params.conv1.kernel"], paths["params.fc.kernel"]
        assert conv.shape == (7, 7, 3, 8)  # OIHW [8, 3, 7, 7] → HWIO
        assert conv[1, 2, 0, 5] == weights["conv1.weight"][5, 0, 1, 2]
        assert linear[3, 1] == weights["fc.weight"][1, 3]
        weights = random_state_dict(mobilenet)
        load_state_dict(mobilenet, weights)
        depthwise = flat(mobilenet)["params.features.1.block.0.conv.kernel"]
        assert depthwise.shape == (3, 3, 1, 16)  # [C, 1, k, k] → [k, k, 1, C]
        assert depthwise[2, 1, 0, 9] == weights["features.1.block.0.0.weight"][9, 0, 2, 1]

    def test_counters_may_be_absent(self, drawn: dict[str, nnx.Module]) -> None:
        model = fresh(drawn, "tiny_resnet")
        weights = random_state_dict(model)
        weights = {k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")}
        assert load_state_dict(model, weights).ignored == ()

    def test_half_precision_becomes_float32(self, drawn: dict[str, nnx.Module]) -> None:
        model = fresh(drawn, "tiny_resnet")
        weights = random_state_dict(model)
        for dtype in (np.float16, ml_dtypes.bfloat16, np.float64):
            narrow = {
                key: value if value.dtype == np.int64 else value.astype(dtype)
                for key, value in weights.items()
            }
            load_state_dict(model, narrow)
            kernel = flat(model)["params.fc.kernel"]
            assert kernel.dtype == np.float32
            np.testing.assert_array_equal(kernel.T, narrow["fc.weight"].astype(np.float32))


class TestRefusals:
    def test_all_kinds_in_one_error(self, drawn: dict[str, nnx.Module]) -> None:
        model = fresh(drawn, "tiny_resnet")
        before, weights = flat(model), random_state_dict(model)
        del weights["layer1.0.conv2.weight"]
        weights["layer9.0.conv1.weight"] = np.zeros((1, 1, 1, 1), np.float32)
        weights["surprise"] = np.zeros(3, np.float32)
        weights["layer2.0.conv1.weight"] = np.zeros((5, 4, 3, 2), np.float32)
        weights["bn1.weight"] = weights["bn1.weight"].astype(np.int8)
        weights["bn1.bias"][3] = np.nan
        with pytest.raises(UserError) as caught:
            load_state_dict(model, weights)
        message = str(caught.value)
        assert "\n" not in message
        assert "missing: layer1.0.conv2.weight;" in message
        assert "extra: layer9.0.conv1.weight, surprise;" in message
        assert "layer2.0.conv1.weight has (5, 4, 3, 2), the model (16, 32, 1, 1)" in message
        assert "bn1.weight is of dtype int8, not floating point" in message
        assert "bn1.bias is not finite everywhere" in message
        assert "allow_missing" not in message  # nothing here is the head's
        assert_unchanged(model, before)

    def test_a_key_of_two_rows(self, drawn: dict[str, nnx.Module]) -> None:
        model = fresh(drawn, "tiny_resnet")
        twice = KeyTable("fc", "fc", (*RESNET.rows, Row("layer{s}.{b}.bn1.bias", "params.x")))
        with pytest.raises(UserError) as caught:
            load_state_dict(model, random_state_dict(model), table=twice)
        for stage in (1, 2, 3, 4):
            assert f"layer{stage}.0.bn1.bias matches layer{{s}}.{{b}}.bn{{c}}.bias" in str(
                caught.value
            )

    def test_two_keys_of_one_path(self, drawn: dict[str, nnx.Module]) -> None:
        model = fresh(drawn, "tiny_resnet")
        alias = KeyTable("fc", "fc", (*RESNET.rows, Row("head.bias", "params.fc.bias")))
        weights = random_state_dict(model)
        assert load_state_dict(model, weights, table=alias).fresh == ()
        weights["head.bias"] = weights["fc.bias"]
        with pytest.raises(
            UserError, match=r"ambiguous: fc\.bias, head\.bias all mean params\.fc\.bias"
        ):
            load_state_dict(model, weights, table=alias)

    @pytest.mark.parametrize("arch", ARCHS)
    def test_another_networks_file(self, drawn: dict[str, nnx.Module], arch: str) -> None:
        other = ARCHS[1 - ARCHS.index(arch)]
        weights = random_state_dict(drawn[other])
        with pytest.raises(UserError, match="is it another network's file") as caught:
            load_state_dict(fresh(drawn, arch), weights, allow_missing=[HEADS[arch]])
        assert all(key in str(caught.value) for key in weights)

    @settings(max_examples=10)
    @given(data=st.data())
    def test_any_set_of_dropped_and_added_keys_is_listed(
        self, drawn: dict[str, nnx.Module], data: st.DataObject
    ) -> None:
        model = drawn[data.draw(st.sampled_from(ARCHS))]
        weights = to_state_dict(model_state(model), key_table(model))
        dropped = data.draw(st.sets(st.sampled_from(sorted(weights)), max_size=20))
        added = data.draw(st.sets(st.from_regex(r"extra\.[a-z]{3,8}", fullmatch=True), max_size=3))
        kept = {key: value for key, value in weights.items() if key not in dropped}
        kept |= dict.fromkeys(added, np.zeros(1, np.float32))
        if not dropped | added:
            assert load_state_dict(model, kept).fresh == ()
            return
        with pytest.raises(UserError) as caught:
            load_state_dict(model, kept)
        message = set(re.split(r"[,;:]? ", str(caught.value)))
        assert dropped | added <= message
        assert not message & (weights.keys() - dropped)


class TestHeads:
    @pytest.mark.parametrize("arch", ARCHS)
    def test_an_absent_head_must_be_named(self, drawn: dict[str, nnx.Module], arch: str) -> None:
        model, head = fresh(drawn, arch), HEADS[arch]
        before, weights = flat(model), random_state_dict(model)
        backbone = {k: v for k, v in weights.items() if not k.startswith(f"{head}.")}
        with pytest.raises(UserError, match=f"--allow-missing {head}"):
            load_state_dict(model, backbone)
        assert_unchanged(model, before)
        report = load_state_dict(model, backbone, allow_missing=[head])
        assert set(report.fresh) == weights.keys() - backbone.keys()
        assert report.head == "absent"
        assert f"initialised at random: {', '.join(report.fresh)}" in report.summary()
        after = flat(model)
        for path, value in after.items():
            is_head = path.startswith(f"params.{head}")
            assert np.array_equal(value, before[path]) == is_head, path

    @pytest.mark.parametrize(
        ("arch", "prefix", "fresh_keys"),
        [
            ("tiny_resnet", "fc", ("fc.bias", "fc.weight")),
            ("tiny_mobilenet", "classifier", ("classifier.3.bias", "classifier.3.weight")),
            ("tiny_mobilenet", "classifier.3", ("classifier.3.bias", "classifier.3.weight")),
        ],
    )
    def test_another_class_count_must_be_named(
        self, drawn: dict[str, nnx.Module], arch: str, prefix: str, fresh_keys: tuple[str, ...]
    ) -> None:
        model = fresh(drawn, arch)
        before, weights = flat(model), random_state_dict(model)
        logits = key_table(model).logits
        inputs = weights[f"{logits}.weight"].shape[1]
        weights[f"{logits}.weight"] = np.ones((10, inputs), np.float32)
        weights[f"{logits}.bias"] = np.ones(10, np.float32)
        with pytest.raises(UserError, match=re.escape(f"has (10, {inputs}), the model (4, ")):
            load_state_dict(model, weights)
        report = load_state_dict(model, weights, allow_missing=[prefix])
        assert report.fresh == fresh_keys
        assert report.head == "untrained"
        assert f"{logits}.bias has (10,), the model (4,)" in report.left_out
        path = f"params.{logits.replace('.', '_')}.kernel"
        np.testing.assert_array_equal(flat(model)[path], before[path])
        assert "left out, as they do not fit" in report.summary()

    def test_a_layer_is_drawn_as_a_whole(self, drawn: dict[str, nnx.Module]) -> None:
        """A bias that fits beside a kernel that is lacking would be half a layer."""
        model = fresh(drawn, "tiny_mobilenet")
        before, weights = flat(model), random_state_dict(model)
        del weights["classifier.3.weight"]
        report = load_state_dict(model, weights, allow_missing=["classifier"])
        assert report.fresh == ("classifier.3.bias", "classifier.3.weight")
        path = "params.classifier_3.bias"
        np.testing.assert_array_equal(flat(model)[path], before[path])

    def test_what_is_allowed_and_fits_is_loaded(self, drawn: dict[str, nnx.Module]) -> None:
        model = fresh(drawn, "tiny_resnet")
        report = load_state_dict(model, random_state_dict(model), allow_missing=["fc"])
        assert report.fresh == ()
        assert "fc" in report.parameters

    def test_only_the_head_is_excused(self, drawn: dict[str, nnx.Module]) -> None:
        model = fresh(drawn, "tiny_resnet")
        weights = random_state_dict(model)
        del weights["fc.bias"], weights["conv1.weight"]
        with pytest.raises(UserError, match=r"\(1 missing\): missing: conv1\.weight"):
            load_state_dict(model, weights, allow_missing=["fc"])

    def test_a_mistyped_prefix(self, drawn: dict[str, nnx.Module]) -> None:
        model = fresh(drawn, "tiny_mobilenet")
        with pytest.raises(UserError, match="allow_missing names clasifier, which"):
            load_state_dict(model, random_state_dict(model), allow_missing=["clasifier"])

    @pytest.mark.parametrize(
        ("arch", "layers"),
        [
            ("tiny_resnet", {"fc.0": (16, 256), "fc.3": (4, 16)}),
            ("tiny_mobilenet", {"classifier.1": (4, 240)}),
            ("tiny_mobilenet", {"classifier.3.0": (9, 32), "classifier.3.2": (4, 9)}),
        ],
    )
    def test_a_head_of_another_kind_is_replaced_where_that_is_allowed(
        self, drawn: dict[str, nnx.Module], arch: str, layers: dict[str, tuple[int, int]]
    ) -> None:
        model, head = fresh(drawn, arch), HEADS[arch]
        before, weights = flat(model), random_state_dict(model)
        weights = {key: v for key, v in weights.items() if not key.startswith(f"{head}.")}
        for layer, shape in layers.items():
            weights |= {f"{layer}.weight": np.zeros(shape), f"{layer}.bias": np.zeros(shape[0])}
        with pytest.raises(UserError, match=rf"extra: .*--allow-missing {head}"):
            load_state_dict(model, weights)
        assert_unchanged(model, before)
        report = load_state_dict(model, weights, allow_missing=[head])
        assert report.head == "untrained"
        assert len(report.left_out) == 2 * len(layers)
        assert all(key.startswith(f"{head}.") for key in report.fresh)
        after = flat(model)
        for path in before:
            assert np.array_equal(after[path], before[path]) == (f"params.{head}" in path)

    def test_what_stands_beside_a_head_that_is_loaded_is_not_excused(
        self, drawn: dict[str, nnx.Module]
    ) -> None:
        model = fresh(drawn, "tiny_resnet")
        weights = random_state_dict(model) | {"fc.0.weight": np.ones(256, np.float32)}
        with pytest.raises(UserError, match=r"\(1 extra\): extra: fc\.0\.weight"):
            load_state_dict(model, weights, allow_missing=["fc"])


class TestOtherFiles:
    def test_a_prefix_is_taken_off_and_strangers_outside_it_are_named(
        self, drawn: dict[str, nnx.Module]
    ) -> None:
        model = fresh(drawn, "tiny_resnet")
        weights = random_state_dict(model)
        saved = {f"net.module.{key}": value for key, value in weights.items()}
        report = load_state_dict(model, saved | {"criterion.weight": np.ones(4)})
        np.testing.assert_array_equal(flat(model)["params.fc.bias"], weights["fc.bias"])
        assert [note for note in report.notes if "net.module." in note and "criterion" in note]

    def test_extra_keys_only_below_an_allowed_prefix(self, drawn: dict[str, nnx.Module]) -> None:
        model = fresh(drawn, "tiny_resnet")
        weights = random_state_dict(model) | {"aux.0.weight": np.ones(2), "auxiliary": np.ones(1)}
        with pytest.raises(UserError, match=r"\(1 extra\): extra: auxiliary"):
            load_state_dict(model, weights, allow_extra=["aux"])
        report = load_state_dict(model, weights, allow_extra=["aux", "auxiliary"])
        assert report.head == "pretrained"
        assert "aux.0.weight" in report.notes[0]

    def test_a_one_channel_stem_only_on_request(self, drawn: dict[str, nnx.Module]) -> None:
        """The three-channel network on a repeated channel is the one-channel network on it."""
        model = fresh(drawn, "tiny_mobilenet")
        weights, before = random_state_dict(model), flat(model)
        grey = weights["features.0.0.weight"][:, :1]
        weights["features.0.0.weight"] = grey
        with pytest.raises(UserError, match="--grey-stem"):
            load_state_dict(model, weights)
        assert_unchanged(model, before)
        report = load_state_dict(model, weights, grey_stem=True)
        assert "features.0.0.weight" in report.notes[0]
        kernel = flat(model)["params.features.0.conv.kernel"]
        assert kernel.shape == (3, 3, 3, 16)
        patch = np.random.default_rng(0).normal(size=(3, 3))
        once = np.einsum("hw,ohw->o", patch, grey[:, 0])
        thrice = np.einsum("hw,hwio->o", patch, kernel)
        np.testing.assert_allclose(thrice, once, rtol=1e-6, atol=1e-6)
        with pytest.raises(UserError, match="leave it out"):
            load_state_dict(model, random_state_dict(model), grey_stem=True)

    @pytest.mark.parametrize(("width", "is_offered"), [(256, True), (99, False)])
    def test_a_last_layer_of_another_name_is_pointed_at(
        self, drawn: dict[str, nnx.Module], width: int, is_offered: bool
    ) -> None:
        model = fresh(drawn, "tiny_resnet")
        weights = random_state_dict(model)
        del weights["fc.bias"], weights["fc.weight"]
        weights |= {"fc.1.weight": np.zeros((4, width)), "fc.1.bias": np.zeros(4)}
        with pytest.raises(UserError) as caught:
            load_state_dict(model, weights)
        assert ("--head fc.1" in str(caught.value)) == is_offered


@pytest.mark.torch
def test_tensors_go_straight_in(drawn: dict[str, nnx.Module]) -> None:
    torch = pytest.importorskip("torch")
    model = fresh(drawn, "tiny_resnet")
    weights = random_state_dict(model)
    tensors = {key: torch.nn.Parameter(torch.tensor(v), False) for key, v in weights.items()}
    tensors["fc.bias"] = torch.nn.Parameter(torch.tensor(weights["fc.bias"]))
    load_state_dict(model, tensors)
    np.testing.assert_array_equal(flat(model)["params.fc.bias"], weights["fc.bias"])
