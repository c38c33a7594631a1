"""What holds on a GPU: `pytest -m gpu`. Every test skips where there is none."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.data.augment import Augmentation
from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.distillation.objective import Objective
from fakd_jax.distillation.projection import Projection
from fakd_jax.experiment.teacher_and_student import run_experiment
from fakd_jax.models import create_model, forward
from fakd_jax.models.kernels.depthwise import _shifted, depthwise_conv
from fakd_jax.runs.comparison import compare_runs
from fakd_jax.training.checkpoints import PhaseCheckpoints
from fakd_jax.training.optimizer import adamw
from fakd_jax.training.state import Learner, initial_state
from fakd_jax.training.step import Teacher, make_steps
from scripts.goldens import common
from tests.distillation import test_loss_goldens as losses
from tests.models import test_network_goldens as networks
from tests.tiny import tiny_config, write_images

pytestmark = pytest.mark.gpu

# The largest error, relative to a feature map's root mean square: a wrong layer is off by 1.
# By default a GPU multiplies float32 matrices in TF32, with 10 bits of mantissa; bfloat16 has 7.
PRECISIONS = {
    "float32": ("float32", "highest", 1e-4),
    "float32 in TF32": ("float32", "default", 5e-2),
    "bfloat16": ("bfloat16", "default", 3e-1),
}


@pytest.fixture(autouse=True, scope="module")
def gpu() -> None:
    """Skips without a GPU."""
    if jax.default_backend() != "gpu":
        pytest.skip(f"there is no GPU: JAX runs on {jax.default_backend()}")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("arch", networks.ARCHITECTURES)
def test_networks_are_torchvisions(arch: str, precision: str) -> None:
    dtype, multiply, tolerance = PRECISIONS[precision]
    model = networks.network(arch, jnp.dtype(dtype))
    model.eval()
    expected = networks.golden(arch, "feature")
    with jax.default_matmul_precision(multiply):
        logits, features = nnx.jit(partial(forward, features=tuple(expected)))(
            model, jnp.asarray(common.images())
        )
    assert logits.dtype == jnp.float32
    for name, values in expected.items():
        summary = common.summary(np.asarray(features[name], np.float32))
        networks.assert_close(summary, values, tolerance, f"{arch}'s {name}")
    stored = networks.GOLDENS[f"{arch}/logits"]
    networks.assert_close(np.asarray(logits), stored, tolerance, f"{arch}'s logits")


@pytest.mark.parametrize("name", losses.CASES)
def test_losses_and_their_gradients_are_pytorchs(name: str) -> None:
    stored = losses.golden(name)
    with jax.default_matmul_precision("highest"):
        results = losses.ours(stored, tuple(map(int, stored["size"])), tuple(stored["settings"]))
    for key, value in results.items():
        np.testing.assert_allclose(value, stored[key], rtol=1e-4, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 1), (5, 2)])
def test_depthwise_convolution_is_the_same_in_both_forms(
    kernel_size: int, stride: int, dtype: str
) -> None:
    """A GPU uses XLA's grouped convolution, a CPU a sum of shifted copies."""
    draw = np.random.default_rng(0).standard_normal
    x = jnp.asarray(draw((4, 15, 14, 32)), dtype)
    kernel = jnp.asarray(draw((kernel_size, kernel_size, 1, 32)), dtype)

    @jax.jit
    def both(x: jax.Array, kernel: jax.Array) -> list[list[jax.Array]]:
        results = []
        for conv in (partial(depthwise_conv, stride=stride), partial(_shifted, stride=stride)):
            y, pullback = jax.vjp(conv, x, kernel)
            results.append([y, *pullback(jnp.ones_like(y))])
        return results

    with jax.default_matmul_precision("highest"):
        grouped, shifted = both(x, kernel)
    tolerance = 1e-4 if dtype == "float32" else 3e-2
    for one, other in zip(grouped, shifted, strict=True):
        one, other = (np.asarray(values, np.float32) for values in (one, other))
        scale = np.abs(other).max()
        np.testing.assert_allclose(one / scale, other / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_resumed_run_and_a_second_one_have_the_same_bits(
    dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_images(tmp_path / "data")
    config = tiny_config("fakd", data, tmp_path / "cache", dtype=dtype, checkpoint_minutes=0)
    assert config.deterministic
    workdirs = [tmp_path / name for name in ("whole", "again", "resumed")]
    for workdir in workdirs:
        workdir.mkdir()
    for workdir in workdirs[:2]:
        run_experiment(config, workdir)
        jax.clear_caches()  # algorithms that were chosen by timing would be chosen again
    save = PhaseCheckpoints.save

    def interrupt_after_saving(self: PhaseCheckpoints, learner, state, *others, **more) -> None:
        save(self, learner, state, *others, **more)
        if "student" in self.last_directory.parts and int(state.step) == 6:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(PhaseCheckpoints, "save", interrupt_after_saving)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(config, workdirs[2])
    monkeypatch.undo()
    run_experiment(config, workdirs[2])
    for other in workdirs[1:]:
        for comparison in compare_runs(workdirs[0], other):
            assert comparison.is_same, f"{other.name}: {comparison}"


def test_a_step_of_the_paper_fits_a_small_gpu() -> None:
    """Batch 32 at 224 pixels in bfloat16: weights, optimizer and activations below 6 GiB."""
    student = create_model(
        "mobilenet_v3_large", num_classes=4, dtype=jnp.bfloat16, rngs=nnx.Rngs(0)
    )
    resnet = create_model("resnet50", num_classes=4, dtype=jnp.bfloat16, rngs=nnx.Rngs(1))
    teacher = Teacher.freeze(resnet)
    learner = Learner(student, Projection(960, 1024, dtype=jnp.bfloat16, rngs=nnx.Rngs(2)))
    optimizer = adamw(lambda step: jnp.float32(1e-4), weight_decay=1e-5)
    steps = make_steps(
        learner,
        teacher.graphdef,
        Objective(0.5, 1.0, 3.0),
        optimizer,
        Preprocessing(),
        Augmentation(),
        steps_per_epoch=10,
    )
    images = np.random.default_rng(0).integers(0, 256, (32, 224, 224, 3), np.uint8)
    batch = {"image": jnp.asarray(images), "label": jnp.asarray(np.arange(32) % 4)}
    key = jax.random.key(0)
    state = initial_state(learner, optimizer)
    compiled = steps.train.lower(state, teacher.variables, batch, key).compile()
    memory = compiled.memory_analysis()
    needed = memory.argument_size_in_bytes + memory.temp_size_in_bytes
    assert needed < 6 << 30, f"a step needs {needed / 2**30:.1f} GiB"
    _, loss = compiled(state, teacher.variables, batch, key)
    assert np.isfinite(loss)
