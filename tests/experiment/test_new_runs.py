"""What a run stores before it trains: its config, its environment and its split."""

import json

import numpy as np
import pytest
from PIL import Image

from fakd_jax.data.dataset import SPLITS
from fakd_jax.data.groups import fingerprint_of_groups
from fakd_jax.data.splits import Split
from fakd_jax.errors import UserError
from fakd_jax.training.metric_log import LOGGER
from tests.tiny import write_image


def test_groups_of_ones_own_stay_together_and_may_move_but_not_change(run, data, tmp_path):
    workdir, table = tmp_path / "run", tmp_path / "patients.csv"
    ids = sorted(path.relative_to(data).as_posix() for path in data.rglob("*.png"))
    patients = {id: str(number // 2) for number, id in enumerate(ids)}
    rows = [f"{id},{patient}\n" for id, patient in patients.items()]

    def start(rows):
        table.write_text("".join(["path,group\n", *rows]))
        groups = {"data.split": "grouped", "data.groups": str(table)}
        # Fails after the split.
        run("teacher", workdir, **groups, **{"teacher.pretrained": "missing.pth"})

    with pytest.raises(UserError, match="missing"):
        start(rows)
    split = Split.load(workdir / "split.json")
    train, val, test = ({patients[id] for id in split.ids(part)} for part in SPLITS)
    assert len(train) + len(val) + len(test) == len(train | val | test)
    assert split.given_groups == fingerprint_of_groups(patients)
    (workdir / "teacher" / "last" / "1").mkdir(parents=True)  # as if it had trained
    table = tmp_path / "moved.csv"
    with pytest.raises(UserError, match="missing"):
        start(reversed(rows))
    kept = [(workdir / f"{name}.json").read_text() for name in ("config", "environment")]
    table = tmp_path / "changed.csv"
    with pytest.raises(UserError, match=r"config\.data\.groups gives other content"):
        start([*rows[:-1], f"{ids[-1]},0\n"])
    assert [(workdir / f"{name}.json").read_text() for name in ("config", "environment")] == kept


def test_a_run_that_never_started_may_be_run_with_another_config(run, data, tmp_path):
    with pytest.raises(UserError, match="no data at"):
        run("teacher", tmp_path, data=tmp_path / "nowhere")
    with pytest.raises(UserError, match="missing"):
        run("teacher", tmp_path, **{"teacher.pretrained": "missing.pth"})
    split = (tmp_path / "split.json").read_text()
    with pytest.raises(UserError, match="missing"):
        run("teacher", tmp_path, seed=1, **{"teacher.pretrained": "missing.pth"})
    assert (tmp_path / "split.json").read_text() != split
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["seed"], config["data"]["source"]) == (1, str(data))


def test_data_without_splits_are_dealt_with_their_own_groups(run, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(LOGGER, "propagate", True)
    caplog.set_level("INFO")
    names = [f"{kind}/{number}.png" for kind in ("no", "yes") for number in range(16)]
    for seed, name in enumerate(names):
        write_image(tmp_path / "data" / name, seed)
    patients = {name: str(number // 2) for number, name in enumerate(names)}
    rows = [f"{name},{name.partition('/')[0]},{patients[name]}\n" for name in names]
    table = tmp_path / "data" / "table.csv"
    table.write_text("".join(["path,label,patient\n", *rows]))
    workdir = tmp_path / "run"
    with pytest.raises(UserError, match="missing"):
        run("teacher", workdir, data=table, **{"teacher.pretrained": "missing.pth"})
    split = Split.load(workdir / "split.json")
    assert (split.kind, split.given_groups) == ("grouped", fingerprint_of_groups(patients))
    train, val, test = ({patients[id] for id in split.ids(part)} for part in SPLITS)
    assert len(train) + len(val) + len(test) == len(train | val | test) == 16
    assert len(split.test) == 4
    assert any("split=official is grouped" in line for line in caplog.messages)
    assert any(
        "negative_class=notumor is none" in line and "(no?)" in line for line in caplog.messages
    )


def test_a_volume_on_both_sides_of_an_official_split_is_named(run, tmp_path, log_lines):
    rng = np.random.default_rng(0)
    rows = ["path,label,split\n"]
    for name in ("a1.tif", "a2.tif", "b1.tif", "b2.tif"):
        pages = [Image.fromarray(rng.integers(0, 256, (32, 32), np.uint8)) for _ in range(4)]
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
        for page in range(4):
            part = "test" if page == 3 and name.startswith(("a1", "b1")) else "train"
            rows.append(f"{name}#{page},{name[0]},{part}\n")
    (tmp_path / "table.csv").write_text("".join(rows))
    options = {"data": tmp_path / "table.csv", "teacher.pretrained": "missing.pth"}
    with pytest.raises(UserError, match="missing"):
        run("teacher", tmp_path / "run", **options)
    assert "2 of the 2 test images share a group" in log_lines()


def test_groups_on_both_sides_of_an_official_split_are_named(run, tmp_path, log_lines):
    names = [
        f"{part}/{kind}/{n}.png" for part in ("train", "test") for kind in "ab" for n in "0123"
    ]
    for seed, name in enumerate(names):
        write_image(tmp_path / "data" / name, seed)
    rows = [f"{name},{name.split('/')[1]},{name.split('/')[0]},{name[-5]}\n" for name in names]
    table = tmp_path / "data" / "table.csv"
    table.write_text("".join(["path,label,split,patient\n", *rows]))
    with pytest.raises(UserError, match="missing"):
        run("teacher", tmp_path / "run", data=table, **{"teacher.pretrained": "missing.pth"})
    assert Split.load(tmp_path / "run" / "split.json").kind == "official"
    assert "8 of the 8 test images share a group" in log_lines()
