import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.training.state import Learner, from_named_arrays, initial_state, to_named_arrays


@pytest.fixture
def state():
    learner = Learner(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    return initial_state(learner, optax.adam(1e-3))


def test_a_state_survives_naming(state):
    named = to_named_arrays(state)
    skeleton = jax.tree.map(jnp.zeros_like, state)
    restored = from_named_arrays(skeleton, named)
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, restored, state)


def test_names_say_where_an_array_belongs(state):
    assert "params/network/kernel" in to_named_arrays(state)


def test_every_mismatch_is_listed(state):
    named = to_named_arrays(state)
    del named["step"]
    named["stranger"] = np.zeros(1)
    named["params/network/kernel"] = np.zeros((9, 9), np.float32)
    with pytest.raises(UserError) as error:
        from_named_arrays(state, named)
    for problem in ("missing step", "unknown stranger", "params/network/kernel is (9, 9)"):
        assert problem in str(error.value)
