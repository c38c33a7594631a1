"""Which runs can be reproduced, and what is said about the comparison."""

import json
from dataclasses import replace

import pytest

from fakd_jax.configs import fakd
from fakd_jax.data.splits import make_split
from fakd_jax.errors import UserError
from fakd_jax.experiment import reproduce as module
from fakd_jax.experiment.record import RunRecord
from fakd_jax.experiment.reproduce import describe, reproduce, stored_config
from fakd_jax.experiment.settings import parse
from fakd_jax.runs.comparison import compare_values
from tests.data.listed import dataset_of

SAME = compare_values("student losses", {"a": 1.0}, {"a": 1.0})
OTHER = compare_values("student metrics", {"accuracy": 1.0, "n": 2}, {"accuracy": 0.75, "n": 2})


@pytest.fixture
def finished(tmp_path):
    """The config and the evaluation of a finished run, and no more."""
    workdir = tmp_path / "run"
    (workdir / "evaluation").mkdir(parents=True)
    (workdir / "evaluation" / "metrics.json").write_text("{}")
    values = parse(fakd.get_config("phantom")).to_dict() | {"dtype": "float32"}
    del values["data"]["folds"]  # newer than the run
    values["checkpoint_every_steps"] = 50  # of earlier versions
    (workdir / "config.json").write_text(json.dumps(values))
    return workdir


def test_the_stored_config_is_completed(finished):
    settings = parse(stored_config(finished))
    assert settings == replace(parse(fakd.get_config("phantom")), dtype="float32")


def test_what_cannot_be_reproduced_is_refused(finished, tmp_path):
    with pytest.raises(UserError, match=r"config\.json"):
        stored_config(tmp_path)
    config = stored_config(finished)
    with pytest.raises(UserError, match="is the run itself"):
        reproduce(parse(config), finished, finished)
    config.seed = 1
    with pytest.raises(UserError, match="seed was 0, is 1"):
        reproduce(parse(config), finished, tmp_path / "again")
    (finished / "evaluation" / "metrics.json").unlink()
    with pytest.raises(UserError, match="not a finished run"):
        reproduce(parse(config), finished, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_the_data_are_known_even_of_a_run_without_a_record(finished, tmp_path, monkeypatch):
    given = []

    def stop(*arguments, inputs):
        given.append(inputs)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "train_and_evaluate", stop)
    split = make_split(dataset_of({"train": [4, 4], "test": [1, 1]}), seed=0)
    split.save(finished / "split.json")
    with pytest.raises(KeyboardInterrupt):
        reproduce(parse(stored_config(finished)), finished, tmp_path / "again")
    RunRecord(finished).pin("student.pretrained", "a" * 64)
    with pytest.raises(KeyboardInterrupt):
        reproduce(parse(stored_config(finished)), finished, tmp_path / "again")
    data = {"data.source": split.fingerprint}
    assert given == [data, data | {"student.pretrained": "a" * 64}]


def test_a_difference_is_described_with_what_may_explain_it():
    assert "reproduced: everything is the same" in describe([SAME], ["jax was 1, is 2"])
    assert "jax was 1" not in describe([SAME], ["jax was 1, is 2"])
    text = describe([SAME, OTHER], ["jax was 1, is 2"])
    assert "not reproduced" in text
    assert "jax was 1, is 2" in text
    (row,) = [line for line in text.splitlines() if line.startswith("student metrics")]
    assert row.split()[2:] == ["2", "1", "0.25", "accuracy"]
    assert "unknown" in describe([OTHER], None)
    assert "the same versions" in describe([OTHER], [])
