import dataclasses

import pytest

from fakd_jax.training.early_stopping import EarlyStopping


def after(accuracies, patience=2):
    return after_epochs(EarlyStopping(patience), [{"accuracy": each} for each in accuracies])


def after_epochs(stopping, epochs):
    for epoch, metrics in enumerate(epochs, start=stopping.last_epoch + 1):
        stopping = stopping.update(epoch=epoch, step=10 * epoch, metrics=metrics)
    return stopping


def test_the_best_epoch_and_its_step_are_kept():
    stopping = after([0.5, 0.9, 0.7])
    assert (stopping.best_epoch, stopping.best_step, stopping.best_accuracy) == (2, 20, 0.9)


def test_a_tie_goes_to_the_earlier_epoch():
    assert after([0.5, 0.9, 0.9]).best_epoch == 2


def test_an_accuracy_of_zero_is_still_the_best_so_far():
    assert after([0.0]).best_epoch == 1


def test_it_stops_after_patience_epochs_without_a_better_one():
    assert not after([0.5, 0.4]).should_stop
    assert after([0.5, 0.4, 0.5]).should_stop
    assert not after([0.5, 0.4, 0.6]).should_stop


@pytest.mark.parametrize(
    ("monitor", "best"), [("accuracy", 3), ("balanced_accuracy", 2), ("loss", 1)]
)
def test_the_monitored_metric_chooses_the_epoch(monitor, best):
    epochs = [
        {"accuracy": 0.7, "balanced_accuracy": 0.5, "loss": 0.2},
        {"accuracy": 0.8, "balanced_accuracy": 0.7, "loss": 0.2},
        {"accuracy": 0.9, "balanced_accuracy": 0.6, "loss": 0.4},
    ]
    stopping = after_epochs(EarlyStopping(9, monitor), epochs)
    assert stopping.best_epoch == best
    assert stopping.best_value == epochs[best - 1][monitor]
    assert stopping.best_accuracy == epochs[best - 1]["accuracy"]
    assert EarlyStopping.restored(dataclasses.asdict(stopping)) == stopping


def test_a_position_of_an_earlier_version_goes_on_from_its_best_accuracy():
    earlier = {"patience": 5, "best_accuracy": 0.9, "best_epoch": 1, "best_step": 9}
    stopping = EarlyStopping.restored(earlier | {"last_epoch": 1})
    assert not stopping.is_better({"accuracy": 0.9})
    assert stopping.is_better({"accuracy": 0.91})
