"""Networks by name."""

from __future__ import annotations

import jax.numpy as jnp
import pytest
from flax import nnx

from fakd_jax.errors import DamagedError, UserError
from fakd_jax.models import available_models, create_model, register, registry


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(UserError, match=r"'resnet5'.*mobilenet_v3_large.*resnet50.*--import"):
        create_model("resnet5", num_classes=4, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("num_classes", [0, -1])
def test_there_is_at_least_one_class(num_classes: int) -> None:
    with pytest.raises(ValueError, match="num_classes"):
        create_model("tiny_resnet", num_classes=num_classes, rngs=nnx.Rngs(0))


def test_an_override_that_the_network_lacks_is_an_error() -> None:
    with pytest.raises(TypeError, match="depth"):
        create_model("tiny_resnet", num_classes=4, rngs=nnx.Rngs(0), depth=3)


def test_a_registered_factory_gets_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    seen: dict[str, object] = {}

    @register("spy")
    def spy(**kwargs: object) -> nnx.Module:
        seen.update(kwargs)
        return nnx.Module()

    rngs = nnx.Rngs(0)
    create_model("spy", num_classes=7, dtype=jnp.bfloat16, rngs=rngs, extra=1)
    assert seen == {"num_classes": 7, "dtype": jnp.bfloat16, "rngs": rngs, "extra": 1}
    assert "spy" in available_models()
    register("spy")(spy)  # the same factory again, as a reloaded module does
    with pytest.raises(ValueError, match="already registered"):
        register("spy")(lambda **kwargs: nnx.Module())


def test_metadata_that_describe_no_network_are_damaged() -> None:
    for overrides in ({"depth": 3}, {"": 1}):
        metadata = {"arch": "tiny_resnet", "num_classes": 4, "overrides": overrides}
        with pytest.raises(DamagedError, match="do not describe a tiny_resnet"):
            registry.create_as_stored(metadata, rngs=nnx.Rngs(0))


def test_a_checkpoint_names_the_module_that_registers_its_network() -> None:
    for ours in ("resnet50", "resnet18"):
        assert registry.described(ours) == {"arch": ours}
    described = registry.described("tiny_resnet")
    assert described == {"arch": "tiny_resnet", "module": "tests.tiny"}
    elsewhere = {"arch": "mine", "module": "my_nets", "num_classes": 2}
    with pytest.raises(UserError, match=r"'mine'.*such as --import my_nets"):
        registry.create_as_stored(elsewhere, rngs=nnx.Rngs(0))


def test_what_a_factory_takes() -> None:
    assert registry.takes("resnet18", "batch_norm_momentum")
    assert not registry.takes("convnext_tiny", "batch_norm_momentum")
    with pytest.raises(UserError, match="unknown network"):
        registry.takes("resnet5", "batch_norm_momentum")
