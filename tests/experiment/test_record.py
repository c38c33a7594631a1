"""`environment.json`: contents that cannot change, environments that are compared."""

import json

import pytest

from fakd_jax.errors import UserError
from fakd_jax.experiment import record
from fakd_jax.experiment.record import RunRecord


def test_every_start_is_recorded_and_a_change_is_one_line(tmp_path, monkeypatch, log_lines):
    here = record.describe_environment()
    RunRecord(tmp_path).begin({"dtype": "float32"})
    RunRecord(tmp_path).begin({"dtype": "float32"})
    assert log_lines() == ""
    there = here | {"jax": "99.1", "device_count": 64}
    monkeypatch.setattr(record, "describe_environment", lambda: there)
    RunRecord(tmp_path).begin({"dtype": "float32"})
    (line,) = log_lines().splitlines()
    assert f"jax was {here['jax']}, is 99.1" in line
    assert f"device_count was {here['device_count']}, is 64" in line
    assert "numpy" not in line
    starts = json.loads((tmp_path / "environment.json").read_text())["starts"]
    assert [start["device_count"] for start in starts] == [here["device_count"]] * 2 + [64]
    assert all(start["dtype"] == "float32" and start["started"] for start in starts)


def test_a_content_cannot_change(tmp_path):
    RunRecord(tmp_path).pin("student.pretrained", "a" * 64)
    RunRecord(tmp_path).pin("student.pretrained", "a" * 64)
    RunRecord(tmp_path).pin("teacher.checkpoint", record.ABSENT)
    for key in ("student.pretrained", "teacher.checkpoint"):
        with pytest.raises(UserError, match=rf"config\.{key}.*--workdir"):
            RunRecord(tmp_path).pin(key, "b" * 64)
    assert RunRecord(tmp_path).inputs == {
        "student.pretrained": "a" * 64,
        "teacher.checkpoint": "none",
    }


def test_what_a_resumed_run_has_to_use_is_compared_with_what_it_began_with(tmp_path):
    RunRecord(tmp_path).pin("data.source", "a" * 64)
    given = {"data.source": "a" * 64, "student.pretrained": "b" * 64}
    RunRecord(tmp_path, given).begin({})
    assert RunRecord(tmp_path).inputs == given
    with pytest.raises(UserError, match=r"config\.data\.source gives other content"):
        RunRecord(tmp_path, {"data.source": "c" * 64})


@pytest.mark.parametrize("content", ["", "[]", '{"inputs": 1}', '{"inputs": {}, "starts": 3}'])
def test_damage_is_reported(tmp_path, content):
    (tmp_path / "environment.json").write_text(content)
    with pytest.raises(UserError, match=r"environment\.json is damaged"):
        RunRecord(tmp_path)
