"""Finding a network's weights in what training scripts save."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fakd_jax.errors import UserError
from fakd_jax.models.torch_weights.locate import Weights, find_weights, with_head
from fakd_jax.models.torch_weights.names.resnet import TORCHVISION as RESNET

KEYS = ("conv1.weight", "bn1.weight", "bn1.bias", "bn1.num_batches_tracked", "fc.weight", "fc.bias")


def network(prefix: str = "", fill: float = 0.0) -> dict[str, np.ndarray]:
    shape = {"fc.weight": (4, 8)}
    return {f"{prefix}{key}": np.full(shape.get(key, 4), fill, np.float32) for key in KEYS}


def find(tree: Any, **choice: Any) -> Weights:
    return find_weights(tree, "w.pth", RESNET, **choice)


@pytest.mark.parametrize(
    ("tree", "name"),
    [
        (network(), ""),
        (network("module."), "module"),
        (network("_orig_mod.module."), "_orig_mod.module"),
        ({"net": network(), "acc": 97.3}, "net"),
        ({"a": {"b": {"c": network("model.backbone.")}}}, "a.b.c.model.backbone"),
        ({"state_dict": network(), "optimizer": {"state": {0: network()}}}, "state_dict"),
        ({"state_dict": network(), "scaler": {"scale": np.ones(1)}}, "state_dict"),
        ({"x": network(), "y": {"other.key": np.ones(3), "and.another": np.ones(2)}}, "x"),
    ],
)
def test_the_only_network_is_found_wherever_it_is(tree: Any, name: str) -> None:
    found = find(tree)
    assert found.name == name
    assert set(found.arrays) == set(KEYS)
    assert not found.averaged
    assert bool(found.notes) == bool(name)


def test_a_mapping_in_itself_or_under_two_names_counts_once() -> None:
    tree: dict[str, Any] = {"model": network()}
    tree |= {"state_dict": tree["model"], "again": tree}
    assert find(tree).name == "model"


def test_what_stands_beside_a_network_is_named() -> None:
    beside = {"criterion.weight": np.ones(4), "model.decoder.bias": np.ones(4)}
    found = find({"state_dict": {**network("model.encoder."), **beside, "epoch": 3}})
    assert set(found.beside) == set(beside)
    for name in ("state_dict", "model.encoder.", *beside, "epoch"):
        assert any(name in note for note in found.notes)


@pytest.mark.parametrize(
    ("tree", "plain", "averaged"),
    [
        ({"state_dict": network(), "state_dict_ema": network()}, "state_dict", "state_dict_ema"),
        ({"model": network(), "model_ema": network("module.")}, "model", "model_ema.module"),
        ({"net": network(), "ema": {"shadow": network(), "decay": 0.9}}, "net", "ema.shadow"),
        ({**network("model."), **network("ema_model.module.")}, "model", "ema_model.module"),
        ({"w": network(), "swa_model": network()}, "w", "swa_model"),
    ],
)
def test_averaged_weights_are_taken_on_request_alone_and_always_mentioned(
    tree: Any, plain: str, averaged: str
) -> None:
    chosen = find(tree)
    assert chosen.name == plain
    assert [note for note in chosen.notes if averaged in note and "--ema" in note]
    assert find(tree, ema=True).name == averaged


@pytest.mark.parametrize("prefix", ["module.", "", "model.module."])
@pytest.mark.parametrize("ema", [False, True])
def test_a_counter_of_averages_marks_averaged_weights(prefix: str, ema: bool) -> None:
    counter = {f"{prefix.removesuffix('module.')}n_averaged": np.array(7)}
    found = find({**network(prefix), **counter}, ema=ema)
    assert found.averaged
    assert set(found.arrays) == set(KEYS)
    assert not found.beside
    assert "these are averaged weights" in found.notes


def test_no_averaged_weights() -> None:
    with pytest.raises(UserError, match=r"no averaged weights; it has net \(6 arrays, 52 values\)"):
        find({"net": network()}, ema=True)


TWO = {"student": network(fill=1), "teacher": network("backbone.", fill=2)}


class TestSeveral:
    def test_are_listed_with_their_sizes_and_refused(self) -> None:
        with pytest.raises(UserError) as caught:
            find(TWO)
        for part in ("student (6 arrays, 52 values)", "teacher.backbone (6", "--key"):
            assert part in str(caught.value)

    @pytest.mark.parametrize(
        ("key", "value"), [("student", 1), ("teacher", 2), ("teacher.backbone", 2)]
    )
    def test_one_is_chosen_by_name(self, key: str, value: int) -> None:
        assert find(TWO, key=key).arrays["fc.bias"][0] == value

    @pytest.mark.parametrize("key", ["stud", "backbone", ""])
    def test_an_unknown_name(self, key: str) -> None:
        with pytest.raises(UserError, match=r"no weights of the network under .*; it has student"):
            find(TWO, key=key)

    def test_within_one_mapping(self) -> None:
        tree = {**network("encoder_q."), **network("encoder_k.")}
        with pytest.raises(UserError, match="several places"):
            find(tree)
        assert find(tree, key="encoder_k").prefix == "encoder_k."


@pytest.mark.parametrize("tree", [None, 3, [network()], {}, {"epoch": 3}, {1: np.ones(2)}])
def test_no_arrays_by_name(tree: Any) -> None:
    with pytest.raises(UserError, match=r"no state dict in w\.pth"):
        find(tree)


def test_another_networks_keys_are_left_for_the_complaint() -> None:
    found = find({"model": {"blocks.0.weight": np.ones(3), "blocks.1.weight": np.ones(3)}})
    assert set(found.arrays) == {"blocks.0.weight", "blocks.1.weight"}


class TestHead:
    @pytest.mark.parametrize(
        ("prefix", "held", "head"),
        [
            ("", "fc.1", "fc.1"),
            ("net.", "net.fc.1", "fc.1"),
            ("net.", "net.fc.1", "net.fc.1"),
            ("backbone.", "head", "head"),
        ],
    )
    def test_a_linear_layer_takes_its_place(self, prefix: str, held: str, head: str) -> None:
        tree = network(prefix)
        weight, bias = (tree.pop(f"{prefix}fc.{kind}") + 5 for kind in ("weight", "bias"))
        tree |= {f"{held}.weight": weight, f"{held}.bias": bias}
        found = with_head(find(tree), head, RESNET, "w.pth")
        assert set(found.arrays) == set(KEYS)
        assert not found.beside
        np.testing.assert_array_equal(found.arrays["fc.weight"], weight)
        assert head in found.notes[-1]

    def test_refusals(self) -> None:
        tree = network() | {"fc.1.weight": np.ones((4, 8)), "fc.1.bias": np.ones(4)}
        with pytest.raises(UserError, match="has the network's own last layer"):
            with_head(find(tree), "fc.1", RESNET, "w.pth")
        del tree["fc.weight"], tree["fc.bias"]
        with pytest.raises(UserError, match=r"no linear layer 'fc\.2' .*; it has fc\.1"):
            with_head(find(tree), "fc.2", RESNET, "w.pth")
