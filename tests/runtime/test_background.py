"""Work in a thread beside the main one."""

import threading

import pytest

from fakd_jax.runtime.background import BackgroundTask


def fail():
    raise ValueError("failed")


@pytest.mark.parametrize("method", ["wait", "close", "start"])
def test_an_error_is_raised_once_by_what_is_called_next(method):
    task, done = BackgroundTask(), []
    task.start(fail)
    arguments = [lambda: done.append(1)] if method == "start" else []
    with pytest.raises(ValueError, match="failed"):
        getattr(task, method)(*arguments)
    task.wait()
    assert done == []


def test_checking_does_not_wait():
    task, go_on = BackgroundTask(), threading.Event()
    task.start(lambda: go_on.wait(10))
    task.check()
    go_on.set()
    task.close()


def test_functions_run_one_after_the_other():
    task, done = BackgroundTask(), []
    for number in range(20):
        task.start(lambda number=number: done.append(number))
    task.close()
    assert done == list(range(20))
