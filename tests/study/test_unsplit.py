"""A study on class folders without split folders, with patients from a table, from end to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakd_jax.data.phantom.dataset import write_phantoms
from fakd_jax.data.splits import Split
from fakd_jax.errors import UserError
from fakd_jax.study.run import run_study
from tests.tiny import CLASS_NAMES, tiny_study


@pytest.mark.slow
def test_a_study_of_data_without_splits_keeps_patients_together(tmp_path: Path) -> None:
    source = tmp_path / "clinic"
    write_phantoms(tmp_path / "drawn", train_per_class=15, test_per_class=1, size=48)
    (tmp_path / "drawn" / "Training").rename(source)
    ids = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.png"))
    patients = {id: f"patient {number // 3}" for number, id in enumerate(ids)}
    table = tmp_path / "patients.csv"
    table.write_text("".join(["path,group\n", *(f"{id},{who}\n" for id, who in patients.items())]))
    methods = {"methods": ("teacher", "student", "fakd"), "seeds": (0,)}
    config = tiny_study(source, tmp_path / "cache", **methods)
    config.base.data.groups = str(table)
    with pytest.raises(UserError, match=r"data.groups has no effect with data.split=official"):
        run_study(config, tmp_path / "study")
    config.study.splits = ("grouped",)
    report = run_study(config, tmp_path / "study")
    assert not report["missing"]
    assert len(report["cells"]) == 3
    cells = tmp_path / "study" / "grouped" / "seed0"
    split, *others = (Split.load(cells / name / "split.json") for name in methods["methods"])
    assert all(other == split for other in others)
    parts = [{patients[id] for id in part} for part in (split.train, split.val, split.test)]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 20
    assert [sum(f"{name}/" in id for id in split.test) for name in CLASS_NAMES] == [3] * 4
    assert "grouped" in (tmp_path / "study" / "study.txt").read_text()


@pytest.mark.slow
def test_an_official_split_is_refused_where_the_data_have_none(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "drawn", train_per_class=4, test_per_class=1, size=48)
    config = tiny_study(tmp_path / "drawn" / "Training", tmp_path / "cache")
    with pytest.raises(UserError, match=r"no splits of its own.*config.study.splits=grouped"):
        run_study(config, tmp_path / "study")
