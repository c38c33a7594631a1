from fakd_jax.training.early_stopping import EarlyStopping


def after(accuracies, patience=2):
    stopping = EarlyStopping(patience)
    for epoch, accuracy in enumerate(accuracies, start=1):
        stopping = stopping.update(epoch=epoch, step=10 * epoch, accuracy=accuracy)
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
