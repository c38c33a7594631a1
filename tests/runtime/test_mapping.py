"""Chunks in this process: in order, and few ahead of the caller."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from fakd_jax.runtime.mapping import CHUNKS_PER_THREAD, LocalMapper


@pytest.mark.parametrize("threaded", [True, False])
def test_results_come_in_the_order_of_the_chunks_however_long_each_takes(threaded):
    def slow_if_even(number, unit):
        time.sleep(0.002 * (number % 2 == 0))
        return f"{number} {unit}"

    chunks = ((number, "mm") for number in range(20))
    found = list(LocalMapper().map(slow_if_even, chunks, threaded=threaded))
    assert found == [f"{number} mm" for number in range(20)]
    assert list(LocalMapper().map(slow_if_even, [], threaded=threaded)) == []


@pytest.mark.parametrize(("threaded", "ahead"), [(True, CHUNKS_PER_THREAD * 3), (False, 1)])
def test_chunks_are_drawn_only_as_the_caller_takes_results(monkeypatch, threaded, ahead):
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    drawn = []
    chunks = ((drawn.append(number) or number,) for number in range(100))
    results = LocalMapper().map(abs, chunks, threaded=threaded)
    assert drawn == []
    for taken in range(5):
        assert next(results) == taken
        assert len(drawn) == taken + ahead
    results.close()


class AtOnce(ThreadPoolExecutor):
    """Computes in the caller's thread, so that every call ahead is done."""

    def submit(self, function, /, *args):
        future = Future()
        future.set_result(function(*args))
        return future


@pytest.mark.parametrize(("size", "ahead"), [(1, 20), (25, 3), (51, 2)])
def test_many_small_results_are_ahead_of_the_caller_but_few_large_ones(monkeypatch, size, ahead):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr("fakd_jax.runtime.mapping.ThreadPoolExecutor", AtOnce)
    drawn = []
    chunks = ((drawn.append(number) or number,) for number in range(100))
    results = LocalMapper(20, max_bytes=50, size_of=lambda result: size).map(abs, chunks)
    for taken in range(5):
        assert next(results) == taken
        assert len(drawn) == taken + ahead


def test_one_thread_is_the_caller_s():
    assert {*LocalMapper().map(threading.get_ident, [()] * 3, threaded=False)} == {
        threading.get_ident()
    }


def test_an_error_reaches_the_caller_and_ends_the_work(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    done = []

    def fail_at_two(number):
        if number == 2:
            raise ValueError("two")
        done.append(number)

    with pytest.raises(ValueError, match="two"):
        list(LocalMapper().map(fail_at_two, ((number,) for number in range(100))))
    assert len(done) <= 2 + CHUNKS_PER_THREAD + 1
