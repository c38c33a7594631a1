"""Training within a run: losses that are not finite, options resumed, several devices."""

import pytest

from fakd_jax.errors import NotFiniteError
from fakd_jax.models.checkpoint import load_model
from fakd_jax.runs.workdir import read_records
from tests.experiment.runs import assert_same_weights, metrics_of, start_fakd
from tests.tiny import tiny_overrides


def test_a_loss_that_is_not_finite_stops_the_run_with_its_step(run, tmp_path):
    """The same step whether each loss is waited for, to save, or the device runs ahead."""
    messages = set()
    for minutes in (0, 5):
        more = {"optimizer.learning_rate": 1e30, "checkpoint_minutes": minutes}
        with pytest.raises(NotFiniteError, match=r"student 1/2: .* not finite at step") as stopped:
            run("student", tmp_path / str(minutes), **more)
        messages.add(str(stopped.value))
    assert len(messages) == 1


@pytest.mark.slow
def test_averages_and_re_estimated_statistics_are_resumed_exactly(run, tmp_path, interrupt):
    options = {
        "student.recalibrate_batch_norm": 5,  # of which four are an epoch
        "student.optimizer.ema_decay": 0.7,
        "student.optimizer.warmup_epochs": 0.5,
        "optimizer.max_gradient_norm": 1.0,
        "early_stopping.monitor": "loss",
    }
    whole = run("student", tmp_path / "whole", **options)
    interrupt("student", 6)
    with pytest.raises(KeyboardInterrupt):
        run("student", tmp_path / "cut", checkpoint_minutes=0, **options)
    resumed = run("student", tmp_path / "cut", **options)
    assert metrics_of(tmp_path / "cut") == metrics_of(tmp_path / "whole")
    assert_same_weights(resumed.student, whole.student)
    source = load_model(whole.student)[1]["source"]
    assert source["monitor"] == "loss"
    assert "decay 0.7" in source["weights"]


@pytest.mark.slow
@pytest.mark.parametrize("labelled_share", [1.0, 0.25])
def test_two_devices_give_the_losses_of_one(labelled_share, run, data, cache, tmp_path):
    """Adam would turn the rounding of gradients near zero into whole steps of the learning rate."""
    more = {
        "data.labelled_share": labelled_share,
        "student.num_epochs": 1,
        "teacher.num_epochs": 1,
        "optimizer.learning_rate": 1e-12,
    }
    run("fakd", tmp_path / "one", **more)
    process = start_fakd(
        tmp_path / "two",
        tiny_overrides(data, cache) | more,
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
    assert process.wait(280) == 0
    one, two = (read_records(tmp_path / name) for name in ("one", "two"))
    for alone, split in zip(one, two, strict=True):
        for term in {"loss", "ce", "kd", "fa", "accuracy"} & alone.keys():
            assert split[term] == pytest.approx(alone[term], rel=1e-5, abs=1e-6), term
