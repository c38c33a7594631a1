"""The training step against the loss written out by hand, on tiny networks."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from fakd_jax.data.augment import Augmentation
from fakd_jax.data.preprocessing import Preprocessing, normalise
from fakd_jax.distillation.losses import fakd_loss
from fakd_jax.distillation.objective import Objective
from fakd_jax.distillation.projection import Projection
from fakd_jax.models import create_model, feature_shapes, forward
from fakd_jax.training.state import Learner, initial_state, to_named_arrays
from fakd_jax.training.step import Teacher, make_steps

SIZE, BATCH, CLASSES = 32, 4, 3
FAKD = Objective(alpha=0.5, beta=1.0, temperature=3.0, student_layer="features.4")
KEY = jax.random.key(0)


def make_teacher():
    return Teacher.freeze(create_model("tiny_resnet", num_classes=CLASSES, rngs=nnx.Rngs(1)))


def make_learner():
    network = create_model("tiny_mobilenet", num_classes=CLASSES, rngs=nnx.Rngs(2))
    channels = feature_shapes(network, SIZE)["features.4"][-1]
    return Learner(network, Projection(channels, 128, rngs=nnx.Rngs(3)))


def make_batch(seed=0, masked=False):
    generator = np.random.default_rng(seed)
    batch = {
        "image": jnp.asarray(generator.integers(0, 256, (BATCH, SIZE, SIZE, 3)), jnp.uint8),
        "label": jnp.asarray(generator.integers(0, CLASSES, BATCH), jnp.int32),
    }
    return batch | ({"mask": jnp.asarray([True, True, False, True])} if masked else {})


def steps_of(learner, teacher_graphdef, objective, optimizer, **more):
    unchanged = Augmentation(flip_probability=0.0, rotation_degrees=0.0)
    return make_steps(
        learner,
        teacher_graphdef,
        objective,
        optimizer,
        Preprocessing(SIZE),
        unchanged,
        steps_per_epoch=2,
        **more,
    )


@pytest.fixture(scope="module")
def made():
    """Learner, teacher, optimizer and jitted steps of FAKD; compiled once for this file."""
    learner, teacher, optimizer = make_learner(), make_teacher(), optax.sgd(0.1)
    steps = steps_of(learner, teacher.graphdef, FAKD, optimizer, ema_decay=0.75)
    return learner, teacher, optimizer, steps


def test_a_teacher_is_given_images_as_it_normalises_them():
    own = Preprocessing(SIZE, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    learner, teacher, optimizer = make_learner(), make_teacher(), optax.sgd(0.1)
    more = {"teacher_preprocessing": own}
    steps = steps_of(learner, teacher.graphdef, FAKD, optimizer, **more)
    batch = make_batch()
    expected, _ = forward(teacher.network(), own.inputs(batch["image"]))
    outputs = steps.teach(teacher.variables, batch)
    np.testing.assert_allclose(outputs.logits, expected, rtol=1e-4, atol=1e-5)


def test_every_parameter_moves_and_the_teacher_does_not(made):
    learner, teacher, optimizer, steps = made
    state = initial_state(learner, optimizer, averages=True)
    before = to_named_arrays((state.params, state.batch_stats))
    teacher_before = [np.asarray(leaf) for leaf in jax.tree.leaves(teacher.variables)]
    for seed in range(2):
        state, loss = steps.train(state, teacher.variables, make_batch(seed), KEY)
    assert np.isfinite(float(loss))
    assert int(state.step) == 2
    after = to_named_arrays((state.params, state.batch_stats))
    assert not [name for name in before if np.array_equal(before[name], after[name])]
    for old, new in zip(teacher_before, jax.tree.leaves(teacher.variables), strict=True):
        np.testing.assert_array_equal(old, new)


def test_validation_is_the_paper_s_loss_over_unmasked_images(made):
    """Eq. 4 written out with the public functions, on the three images that the mask keeps."""
    learner, teacher, optimizer, steps = made
    batch = make_batch(masked=True)
    state = initial_state(learner, optimizer, averages=True)
    sums = steps.validate(state, steps.teach(teacher.variables, batch), batch)

    kept = np.array([0, 1, 3])
    preprocessing = Preprocessing(SIZE)
    images = normalise(batch["image"][kept], preprocessing.mean, preprocessing.std)
    labels = batch["label"][kept]
    learner.eval()

    @jax.jit
    def by_hand(images):
        network = nnx.merge(teacher.graphdef, teacher.variables, copy=True)
        teacher_logits, teacher_features = forward(network, images, features=("layer3",))
        student = nnx.clone(learner)
        logits, features = forward(student.network, images, features=("features.4",))
        target = teacher_features["layer3"]
        aligned = student.projection(features["features.4"], target.shape[1:3])
        weights = {"alpha": 0.5, "beta": 1.0, "temperature": 3.0}
        return logits, *fakd_loss(logits, labels, teacher_logits, aligned, target, **weights)

    logits, total, terms = by_hand(images)
    assert float(sums["count"]) == 3
    np.testing.assert_allclose(sums["loss"], 3 * total, rtol=1e-4)
    for name in ("ce", "kd", "fa"):
        np.testing.assert_allclose(sums[name], 3 * terms[name], rtol=1e-4)
    predicted = np.argmax(np.asarray(logits), -1)
    assert float(sums["correct"]) == np.sum(predicted == np.asarray(batch["label"][kept]))


def test_sums_add_up_over_an_epoch_of_two_steps_and_begin_again(made):
    learner, teacher, optimizer, steps = made
    state = initial_state(learner, optimizer, averages=True)
    losses, sums = [], []
    for seed in range(3):
        state, loss = steps.train(state, teacher.variables, make_batch(seed), KEY)
        losses.append(float(loss))
        sums.append({name: float(value) for name, value in state.sums.items()})
    np.testing.assert_allclose(sums[1]["loss"], BATCH * (losses[0] + losses[1]), rtol=1e-6)
    np.testing.assert_allclose(sums[2]["loss"], BATCH * losses[2], rtol=1e-6)
    assert [values["count"] for values in sums] == [BATCH, 2 * BATCH, BATCH]


def test_steps_are_reproducible_and_depend_on_the_step_number(made):
    learner, teacher, optimizer, steps = made

    def loss_at(step):
        state = initial_state(learner, optimizer, averages=True)._replace(
            step=jnp.asarray(step, jnp.int32)
        )
        return float(steps.train(state, teacher.variables, make_batch(), KEY)[1])

    assert loss_at(0) == loss_at(0)
    assert loss_at(0) != loss_at(1)  # another dropout


def test_a_step_of_sgd_follows_the_gradient_of_the_loss_and_is_averaged(made):
    """The parameters move by the learning rate along the gradient.

    The first step's values are the first average, the second's count a quarter.
    """
    learner, teacher, optimizer, steps = made
    batch = make_batch()
    state = initial_state(learner, optimizer, averages=True)
    before = to_named_arrays(state.params)
    # The logits' bias has a gradient that can be written down: of CE mean(softmax - onehot), of KD
    # T mean(softmax - the teacher's), both softened by T; feature alignment does not depend on it.
    _, dropout_key = jax.random.split(jax.random.fold_in(KEY, 0))
    learner.train()
    images = normalise(batch["image"], (0.5,) * 3, (0.5,) * 3)
    logits, _ = jax.jit(
        lambda images: forward(nnx.clone(learner.network), images, dropout_key=dropout_key)
    )(images)
    teachers = steps.teach(teacher.variables, batch).logits
    of_ce = jax.nn.softmax(logits) - np.eye(CLASSES, dtype=np.float32)[batch["label"]]
    of_kd = 3.0 * (jax.nn.softmax(logits / 3.0) - jax.nn.softmax(teachers / 3.0))
    expected = np.mean(0.5 * of_ce + 0.5 * of_kd, axis=0)
    state, _ = steps.train(state, teacher.variables, batch, KEY)
    name = "network/classifier_3/bias"
    moved = (before[name] - to_named_arrays(state.params)[name]) / 0.1
    np.testing.assert_allclose(moved, expected, rtol=1e-3, atol=1e-5)

    def own(state):
        return to_named_arrays({"params": state.params, "batch_stats": state.batch_stats})

    first = own(state)
    for name, value in own(state.averaged()).items():
        np.testing.assert_array_equal(value, first[name], err_msg=name)
    state, _ = steps.train(state, teacher.variables, batch, KEY)
    second, average = own(state), own(state.averaged())
    for name in second:
        expected = 0.75 * first[name] + 0.25 * second[name]
        np.testing.assert_allclose(average[name], expected, rtol=1e-5, atol=1e-6, err_msg=name)


def test_an_objective_that_needs_a_teacher_is_refused_without():
    with pytest.raises(ValueError, match="needs a teacher"):
        steps_of(make_learner(), None, FAKD, optax.sgd(0.1))


def test_only_labelled_images_count_for_cross_entropy_and_accuracy(made):
    learner, teacher, optimizer, steps = made
    batch = make_batch() | {"labelled": jnp.asarray([True, False, False, True])}

    def trained(labels):
        state = initial_state(learner, optimizer, (*FAKD.weights, "labelled"), averages=True)
        labels = jnp.asarray(labels, jnp.int32)
        return steps.train(state, teacher.variables, batch | {"label": labels}, KEY)

    state, loss = trained([0, 1, 2, 0])
    sums = {name: float(value) for name, value in state.sums.items()}
    assert (sums["labelled"], sums["count"]) == (2, BATCH)
    expected = 0.5 * sums["ce"] / 2 + (0.5 * sums["kd"] + sums["fa"]) / BATCH
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    other, _ = trained([0, 2, 0, 0])
    first, second = to_named_arrays(state), to_named_arrays(other)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    correct = {
        float(trained([first, 0, 0, last])[0].sums["correct"])
        for first, last in itertools.product(range(CLASSES), repeat=2)
    }
    assert correct == {0, 1, 2}  # of two images, whichever class each is taken for
