"""What a run stores before it trains: its config, its environment and its split."""

import json

import pytest

from fakd_jax.data.dataset import SPLITS
from fakd_jax.data.groups import fingerprint_of_groups
from fakd_jax.data.splits import Split
from fakd_jax.errors import UserError


def test_groups_of_ones_own_stay_together_and_may_move_but_not_change(run, data, tmp_path):
    workdir, table = tmp_path / "run", tmp_path / "patients.csv"
    ids = sorted(path.relative_to(data).as_posix() for path in data.rglob("*.png"))
    patients = {id: str(number // 2) for number, id in enumerate(ids)}
    rows = [f"{id},{patient}\n" for id, patient in patients.items()]

    def start(rows):
        table.write_text("".join(["path,group\n", *rows]))
        groups = {"data.split": "grouped", "data.groups": str(table)}
        run(
            "teacher", workdir, **groups, **{"teacher.pretrained": "absent.pth"}
        )  # fails after the split

    with pytest.raises(UserError, match="absent"):
        start(rows)
    split = Split.load(workdir / "split.json")
    train, val, test = ({patients[id] for id in split.ids(part)} for part in SPLITS)
    assert len(train) + len(val) + len(test) == len(train | val | test)
    assert split.given_groups == fingerprint_of_groups(patients)
    (workdir / "teacher" / "last" / "1").mkdir(parents=True)  # as if it had trained
    table = tmp_path / "moved.csv"
    with pytest.raises(UserError, match="absent"):
        start(reversed(rows))
    kept = [(workdir / f"{name}.json").read_text() for name in ("config", "environment")]
    table = tmp_path / "changed.csv"
    with pytest.raises(UserError, match=r"config\.data\.groups gives other content"):
        start([*rows[:-1], f"{ids[-1]},0\n"])
    assert [(workdir / f"{name}.json").read_text() for name in ("config", "environment")] == kept


def test_a_run_that_never_started_may_be_run_with_another_config(run, data, tmp_path):
    with pytest.raises(UserError, match="no data at"):
        run("teacher", tmp_path, data=tmp_path / "nowhere")
    with pytest.raises(UserError, match="absent"):
        run("teacher", tmp_path, **{"teacher.pretrained": "absent.pth"})
    split = (tmp_path / "split.json").read_text()
    with pytest.raises(UserError, match="absent"):
        run("teacher", tmp_path, seed=1, **{"teacher.pretrained": "absent.pth"})
    assert (tmp_path / "split.json").read_text() != split
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["seed"], config["data"]["source"]) == (1, str(data))
