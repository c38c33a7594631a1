"""Groups of one's own: read, refused where they leave images open, joined with the audit's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakd_jax.data.groups import fingerprint_of_groups, join_groups, read_groups
from fakd_jax.data.splits import Split, make_split
from fakd_jax.errors import UserError
from tests.data.listed import dataset_of

DATASET = dataset_of({"train": [2], "test": [1]})
DATASET.folder = Path("/data/here")
ROWS = {"test/0/0.png": "p1", "train/0/0.png": "p2", "train/0/1.png": "p1"}
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        file = tmp_path / "groups.csv"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def table(rows: dict[str, str], header: str = "path,group") -> str:
    return "\n".join([header, *(",".join(row) for row in rows.items())]) + "\n"


def test_rows_in_any_order_by_path_or_id(write: Write) -> None:
    log: list[str] = []
    absolute = {f"/data/here/{id}": group for id, group in ROWS.items()}
    backwards = dict(reversed(ROWS.items()))
    for text in (
        table(ROWS),
        table(backwards, "id,group"),
        table({f"./{id}": f" {group} " for id, group in ROWS.items()}),
        "\ufeff" + table(absolute),
        "age,group,path\n" + "".join(f"40,{group},{id}\n" for id, group in ROWS.items()),
    ):
        assert read_groups(write(text), DATASET, log.append) == ROWS
    assert log == []
    more = ROWS | {"train/0/7.png": "p3"}
    assert read_groups(write(table(more)), DATASET, log.append) == ROWS
    assert "also names 1 images that the data lack: train/0/7.png" in log[0]
    assert fingerprint_of_groups(ROWS) == fingerprint_of_groups(backwards)
    assert fingerprint_of_groups(ROWS) != fingerprint_of_groups(ROWS | {"test/0/0.png": "p2"})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "has the columns none; it needs path"),
        ("path,patient\na,b\n", "has the columns path, patient"),
        ("path,group\n", "has no rows"),
        (table({**ROWS, "test/0/0.png": ""}), "without a path or a group: line 2"),
        ("path,group\ntest/0/0.png\n", "without a path or a group: line 2"),
        (table(ROWS) + "./test/0/0.png,p1\n", "several rows of the same image: test/0/0.png"),
        (table({"test/0/0.png": "p1"}), r"no row of 2 of the 3 images of somewhere: train/0/0"),
    ],
)
def test_a_table_that_leaves_images_open_is_refused(
    write: Write, text: str, complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint) as error:
        read_groups(write(text), DATASET)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00path", b"path,group\n\x00,\x00\n"])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "groups.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError):
        read_groups(file, DATASET)


GROUPINGS = st.lists(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3)), min_size=1, max_size=3
)


@given(GROUPINGS)
def test_joined_groups_are_the_connected_components(groupings: list[dict[str, int]]) -> None:
    joined = join_groups(*groupings)
    assert joined.keys() == set().union(*groupings)
    expected = {id: {id} for id in joined}
    for _ in joined:  # unite until nothing changes
        for grouping in groupings:
            for one, group in grouping.items():
                for other, others in grouping.items():
                    if group == others:
                        expected[one] |= expected[other]
    for one in joined:
        assert {other for other in joined if joined[other] == joined[one]} == expected[one]
    first_seen = list(dict.fromkeys(joined[id] for id in sorted(joined)))
    assert first_seen == list(range(len(first_seen)))


@pytest.mark.parametrize("kind", ["deduplicated", "grouped", "kfold"])
def test_a_split_keeps_patients_together_and_remembers_them(kind: str, tmp_path: Path) -> None:
    dataset = dataset_of({"train": [30], "test": [10]})
    ids = [example.id for example in dataset.examples]
    alone = {id: number for number, id in enumerate(ids)}
    duplicates = alone | {"train/0/3.png": alone["test/0/0.png"]}
    patients = {id: f"patient {number % 12}" for number, id in enumerate(ids)}
    patients |= {id: id for id in ids[:5]}  # with deduplicated, some test images must be alone
    groups = join_groups(duplicates, patients)
    split = make_split(dataset, kind=kind, groups=groups, given_groups="f", audit="a", seed=0)
    parts = [split.train, split.val, split.test]
    of_parts = [{groups[id] for id in part} for part in parts]
    assert not of_parts[0] & of_parts[1] | of_parts[0] & of_parts[2] | of_parts[1] & of_parts[2]
    split.save(tmp_path / "split.json")
    again = Split.load(tmp_path / "split.json")
    sizes = Counter(groups.values())
    shared = {id: group for id, group in groups.items() if sizes[group] > 1}
    assert join_groups(again.groups) == join_groups(shared)
    assert again.given_groups == "f"
