import itertools
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from fakd_jax.data.pipeline import CachedImages, eval_batches, steps_per_epoch, train_iterator
from fakd_jax.data.preprocessing import resize
from fakd_jax.errors import UserError
from fakd_jax.training.sharding import process_rows

SIZE = 16


class Noise:
    """Seeded noise of several sizes, with the interface of an ImageDataset."""

    def __init__(self, count: int) -> None:
        self.examples = [SimpleNamespace(id=f"image{i}", label=i % 4) for i in range(count)]
        self.reads: list[int] = []

    def __len__(self) -> int:
        return len(self.examples)

    def index_of(self, id: str) -> int:
        return int(id.removeprefix("image"))

    def read(self, index: int) -> np.ndarray:
        self.reads.append(index)
        shape = (SIZE + index % 5, SIZE + index % 3, 3)
        return np.random.default_rng(index).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def dataset() -> Noise:
    return Noise(23)


@pytest.fixture
def ids() -> list[str]:
    return [f"image{i}" for i in range(22, 1, -1)]  # 21 of the 23


def take(iterator: object, count: int) -> list[dict[str, np.ndarray]]:
    return list(itertools.islice(iterator, count))  # type: ignore[call-overload]


def equal(first: list[dict], second: list[dict]) -> bool:
    return all(
        a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)
        for a, b in zip(first, second, strict=True)
    )


def test_batches_hold_the_resized_images_and_their_labels(dataset: Noise, ids: list[str]) -> None:
    batch = next(train_iterator(dataset, ids, batch_size=4, image_size=SIZE, seed=0))
    assert {name: (values.shape, values.dtype.name) for name, values in batch.items()} == {
        "image": ((4, SIZE, SIZE, 3), "uint8"),
        "label": ((4,), "int32"),
        "index": ((4,), "int32"),
    }
    for image, label, index in zip(batch["image"], batch["label"], batch["index"], strict=True):
        assert label == dataset.examples[index].label
        np.testing.assert_array_equal(image, resize(dataset.read(index), SIZE))


def test_each_example_comes_at_most_once_an_epoch(dataset: Noise, ids: list[str]) -> None:
    steps = steps_per_epoch(len(ids), 4)
    assert steps == 5
    batches = take(train_iterator(dataset, ids, batch_size=4, image_size=SIZE, seed=1), 6 * steps)
    order = np.concatenate([batch["index"] for batch in batches]).reshape(6, -1)
    wanted = {dataset.index_of(id) for id in ids}
    for epoch in order:
        assert len(set(epoch)) == 20
        assert set(epoch) <= wanted
    assert len({tuple(epoch) for epoch in order}) == 6
    assert set(order.ravel()) == wanted  # the dropped one is not the same at every epoch


def test_seed_decides_the_order(dataset: Noise, ids: list[str]) -> None:
    def indices(seed: int, threads: int | None = None) -> list[list[int]]:
        iterator = train_iterator(
            dataset, ids, batch_size=5, image_size=SIZE, seed=seed, num_threads=threads
        )
        return [batch["index"].tolist() for batch in take(iterator, 12)]

    assert indices(7) == indices(7, threads=1) == indices(7, threads=5)
    assert indices(7) != indices(8)
    steps = steps_per_epoch(len(ids), 5)
    assert indices(7)[steps:] != indices(8)[:-steps]  # as grain's own seeds would have it
    assert indices(2**40)


@pytest.mark.parametrize("done", [0, 3, 5, 12])
def test_state_resumes_with_the_very_batches(dataset: Noise, ids: list[str], done: int) -> None:
    arguments = {"batch_size": 4, "image_size": SIZE, "seed": 3}
    first = train_iterator(dataset, ids, **arguments)
    take(first, done)
    state = json.loads(json.dumps(first.get_state()))
    rest = take(first, 9)
    second = train_iterator(dataset, ids, **arguments)
    second.set_state(state)
    assert equal(rest, take(second, 9))
    first.set_state(state)  # back in time, with batches already read ahead
    assert equal(rest, take(first, 9))


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_read_their_rows_of_the_same_batches(
    dataset: Noise, ids: list[str], processes: int
) -> None:
    arguments = {"batch_size": 8, "image_size": SIZE}
    rows = [process_rows(8, process, processes) for process in range(processes)]
    whole = train_iterator(dataset, ids, **arguments, seed=3)
    parts = [train_iterator(dataset, ids, **arguments, seed=3, rows=part) for part in rows]
    before = whole.get_state()
    for batch in take(whole, 5):
        joined = [next(part) for part in parts]
        assert equal([batch], [{key: np.concatenate([p[key] for p in joined]) for key in batch}])
    states = [json.dumps(iterator.get_state()) for iterator in (whole, *parts)]
    assert len(set(states)) == 1
    assert states[0] != json.dumps(before)

    joined = [list(eval_batches(dataset, ids, **arguments, rows=part)) for part in rows]
    for batch, *split in zip(eval_batches(dataset, ids, **arguments), *joined, strict=True):
        assert equal([batch], [{key: np.concatenate([p[key] for p in split]) for key in batch}])


def test_too_few_examples_are_refused(dataset: Noise) -> None:
    with pytest.raises(UserError, match="3 training examples do not fill one batch of 4"):
        train_iterator(dataset, ["image1", "image2", "image3"], batch_size=4, image_size=8, seed=0)
    with pytest.raises(UserError, match="batch_size is 0"):
        steps_per_epoch(3, 0)


def test_failure_to_read_reaches_the_caller(dataset: Noise, ids: list[str]) -> None:
    def broken(index: int) -> np.ndarray:
        raise UserError(f"image{index}: broken image file")

    dataset.read = broken  # type: ignore[method-assign]
    with pytest.raises(UserError, match="broken image file"):
        next(train_iterator(dataset, ids, batch_size=4, image_size=SIZE, seed=0))


@pytest.mark.parametrize("batch_size", [1, 5, 7, 21, 64])
def test_evaluation_sees_each_example_once_in_order(
    dataset: Noise, ids: list[str], batch_size: int
) -> None:
    batches = list(eval_batches(dataset, ids, batch_size=batch_size, image_size=SIZE))
    assert len(batches) == -(-21 // batch_size)
    assert {batch["image"].shape for batch in batches} == {(batch_size, SIZE, SIZE, 3)}
    mask = np.concatenate([batch["mask"] for batch in batches])
    index = np.concatenate([batch["index"] for batch in batches])
    label = np.concatenate([batch["label"] for batch in batches])
    images = np.concatenate([batch["image"] for batch in batches])
    assert mask.dtype == bool
    assert index[mask].tolist() == [dataset.index_of(id) for id in ids]
    assert label[mask].tolist() == [dataset.examples[i].label for i in index[mask]]
    assert mask[:21].all()
    assert not mask[21:].any()
    assert not images[~mask].any()
    np.testing.assert_array_equal(images[4], resize(dataset.read(index[4]), SIZE))


def test_evaluation_of_nothing_is_refused(dataset: Noise) -> None:
    with pytest.raises(UserError, match="no examples"):
        eval_batches(dataset, [], batch_size=4, image_size=SIZE)
    with pytest.raises(UserError, match="batch_size is 0"):
        eval_batches(dataset, ["image0"], batch_size=0, image_size=SIZE)


def test_cache_decodes_each_image_once(dataset: Noise, ids: list[str]) -> None:
    plain = take(train_iterator(Noise(23), ids, batch_size=7, image_size=SIZE, seed=2), 9)
    cached = CachedImages(dataset, SIZE)
    assert len(cached) == 23
    list(eval_batches(cached, ids, batch_size=7, image_size=SIZE, num_threads=1))
    kept = take(train_iterator(cached, ids, batch_size=7, image_size=SIZE, seed=2), 9)
    assert equal(plain, kept)
    assert sorted(dataset.reads) == list(range(2, 23))
    assert not cached.read(5).flags.writeable


@pytest.mark.parametrize(("room", "capacity"), [(0, 0), (0.99, 0), (9.5, 9), (23, 23), (50, 23)])
def test_cache_keeps_as_many_images_as_fit(
    dataset: Noise, ids: list[str], room: float, capacity: int
) -> None:
    cached = CachedImages(dataset, SIZE, max_bytes=int(room * SIZE * SIZE * 3))
    assert cached.capacity == capacity
    for _ in range(2):
        for index in range(2, 23):
            np.testing.assert_array_equal(cached.read(index), resize(Noise(23).read(index), SIZE))
    kept = min(capacity, 21)
    assert dataset.reads == [*range(2, 23), *range(2 + kept, 23)]
    plain = train_iterator(Noise(23), ids, batch_size=7, image_size=SIZE, seed=2)
    mixed = train_iterator(cached, ids, batch_size=7, image_size=SIZE, seed=2)
    assert equal(take(plain, 9), take(mixed, 9))


def test_cache_leaves_the_data_sets_own_arrays_writable() -> None:
    own = np.zeros((SIZE, SIZE, 3), np.uint8)
    dataset = Noise(1)
    dataset.read = lambda index: own  # type: ignore[method-assign]
    assert not CachedImages(dataset, SIZE).read(0).flags.writeable
    assert own.flags.writeable


def test_cache_is_the_same_for_all_threads(dataset: Noise) -> None:
    cached = CachedImages(dataset, SIZE)
    barrier = threading.Barrier(4)

    def read_all(start: int) -> list[np.ndarray]:
        barrier.wait()
        return [cached.read((start + i) % 23) for i in range(23)]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(read_all, range(4)))
    for start, images in enumerate(results):
        for i, image in enumerate(images):
            index = (start + i) % 23
            np.testing.assert_array_equal(image, resize(dataset.read(index), SIZE))


def test_a_carried_remainder_fills_every_batch_from_passes_without_repetition(
    dataset: Noise, ids: list[str]
) -> None:
    def batches(ids: list[str], **more: object) -> Iterator[dict[str, np.ndarray]]:
        return train_iterator(
            dataset, ids, batch_size=4, image_size=SIZE, seed=1, carry_remainder=True, **more
        )

    for number in (3, 6):  # fewer than a batch, and one and a half
        order = np.concatenate([batch["index"] for batch in take(batches(ids[:number]), 6)])
        assert len(order) == 24
        passes = order.reshape(-1, number)
        wanted = sorted(map(dataset.index_of, ids[:number]))
        assert [sorted(one) for one in passes] == [wanted] * len(passes)
        assert len({tuple(one) for one in passes}) > 1
    iterator = batches(ids[:6])
    take(iterator, 4)
    rest, resumed = json.loads(json.dumps(iterator.get_state())), batches(ids[:6])
    resumed.set_state(rest)
    assert equal(take(iterator, 5), take(resumed, 5))
    halves = [take(batches(ids[:6], rows=rows), 5) for rows in (slice(2), slice(2, 4))]
    joined = [
        np.concatenate([one["index"], two["index"]]) for one, two in zip(*halves, strict=True)
    ]
    assert np.array_equal(joined, [batch["index"] for batch in take(batches(ids[:6]), 5)])


def test_labels_that_may_not_be_used_do_not_leave_the_pipeline(
    dataset: Noise, ids: list[str]
) -> None:
    arguments = {"batch_size": 4, "image_size": SIZE, "seed": 1}
    plain = take(train_iterator(dataset, ids, **arguments), 5)
    known = {dataset.index_of(id) for id in ids[::2]}
    for batch, whole in zip(
        take(train_iterator(dataset, ids, labelled=ids[::2], **arguments), 5), plain, strict=True
    ):
        labelled = batch.pop("labelled")
        assert labelled.dtype == bool
        assert labelled.tolist() == [int(index) in known for index in whole["index"]]
        assert batch["label"].dtype == np.int32
        np.testing.assert_array_equal(batch["label"], np.where(labelled, whole["label"], 0))
        np.testing.assert_array_equal(batch["image"], whole["image"])
