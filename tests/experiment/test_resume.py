import json

import pytest

from fakd_jax.configs import fakd
from fakd_jax.errors import UserError
from fakd_jax.experiment.record import RunRecord
from fakd_jax.experiment.resume import (
    discard_unstarted_run,
    keep_config,
    read_config,
    resume_config,
    write_config,
)
from fakd_jax.experiment.settings import parse


def settings(**changes):
    config = fakd.get_config("phantom")
    config.update_from_flattened_dict(changes)
    return parse(config)


def values(**changes):
    return settings(**changes).to_dict()


def resume(workdir, **changes):
    """Resumes a run as the experiment does, and returns its config."""
    config = resume_config(settings(**changes), workdir)
    write_config(config.to_dict(), workdir)
    return config


@pytest.fixture
def on_a_gpu(monkeypatch):
    """The default device is a GPU, as far as the precision is concerned."""
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")


def checkpoint(workdir, dtype="float32"):
    metadata = {"arch": "none", "num_classes": 2, "format_version": 1}
    folder = workdir / "student" / "last" / "4"
    folder.mkdir(parents=True)
    text = json.dumps(metadata | {"source": {"compute_dtype": dtype}})
    (folder / "metadata.json").write_text(text)


def test_a_run_is_resumed_with_its_config_alone(tmp_path):
    checkpoint(tmp_path)
    resume(tmp_path)
    resume(tmp_path)
    resume(tmp_path, **{"data.cache_dir": "elsewhere"})  # where, not what
    for key, change in (("seed", 5), ("student.pretrained", "other")):
        with pytest.raises(UserError, match=f"{key} was .*, is {change!r}"):
            resume(tmp_path, **{key: change})


def test_a_run_of_an_earlier_version_had_the_papers_layers(tmp_path):
    checkpoint(tmp_path)
    stored = values()
    stored["distillation"] |= {"teacher_layer": "layer3", "student_layer": "features.16"}
    write_config(stored, tmp_path)
    resume(tmp_path)
    stored["distillation"]["teacher_layer"] = "layer2"
    write_config(stored, tmp_path)
    with pytest.raises(UserError, match="teacher_layer was 'layer2', is 'auto'"):
        resume(tmp_path)


def test_contents_may_move_once_their_digests_are_stored(tmp_path):
    checkpoint(tmp_path)
    resume(tmp_path)
    RunRecord(tmp_path).begin({})
    moved = {"data.source": "there", "student.pretrained": "moved.pth", "teacher.checkpoint": "to"}
    resume(tmp_path, **moved)
    assert read_config(tmp_path)["data"]["source"] == "there"
    assert read_config(tmp_path)["teacher"]["checkpoint"] == "to"


def test_auto_is_stored_as_the_precision_that_it_meant(tmp_path, on_a_gpu):
    assert resume(tmp_path).dtype == "bfloat16"
    assert read_config(tmp_path)["dtype"] == "bfloat16"


@pytest.mark.parametrize("stored", ["float32", "auto"])
def test_a_run_goes_on_in_the_precision_it_began_with(tmp_path, on_a_gpu, stored, log_lines):
    """Earlier versions stored "auto", and the precision in the checkpoints alone."""
    checkpoint(tmp_path, "float32")
    write_config(values(dtype=stored), tmp_path)
    assert resume(tmp_path, dtype="auto").dtype == "float32"
    assert "float32" in log_lines()
    assert "bfloat16" in log_lines()
    assert resume(tmp_path, dtype="float32").dtype == "float32"
    with pytest.raises(UserError, match="dtype was 'float32', is 'bfloat16'"):
        resume(tmp_path, dtype="bfloat16")


def test_a_run_of_an_earlier_version_can_be_resumed(tmp_path):
    """Those wrote the config itself: numbers not yet converted, later keys missing."""
    checkpoint(tmp_path)
    config = fakd.get_config("phantom")
    config.data.mean = (0, 0, 0)
    stored = json.loads(config.to_json())
    del stored["data"]["folds"]
    (tmp_path / "config.json").write_text(json.dumps(stored, indent=2))
    with pytest.raises(UserError, match=r"data\.folds was 5, is 6"):
        resume(tmp_path, **{"data.mean": (0, 0, 0), "data.folds": 6})
    resume(tmp_path, **{"data.mean": (0, 0, 0)})


def test_few_of_many_differences_are_listed(tmp_path):
    keep_config({f"key{index}": 1 for index in range(12)}, tmp_path)
    with pytest.raises(UserError, match=r"key0 was 1, is 2; .* and 4 more\)"):
        keep_config({f"key{index}": 2 for index in range(12)}, tmp_path)


def test_only_an_unstarted_run_is_discarded(tmp_path):
    keep_config(values(), tmp_path)
    RunRecord(tmp_path).pin("data.source", "digest")
    (tmp_path / "student" / "last" / "4").mkdir(parents=True)
    discard_unstarted_run(values(), tmp_path)
    assert (tmp_path / "config.json").is_file()
    (tmp_path / "student" / "last" / "4").rename(tmp_path / "student" / "last" / ".4.saving")
    discard_unstarted_run(values(seed=1), tmp_path)
    assert not (tmp_path / "config.json").is_file()
    assert not RunRecord(tmp_path).inputs


def test_an_unstarted_run_with_other_shifts_is_discarded(tmp_path):
    for shifts in ({"gamma": 3.0, "blur": 2.0}, {"blur": 2.0}, {}):
        config = values()
        config["augmentation"]["shifts"] = shifts
        discard_unstarted_run(config, tmp_path)
        keep_config(config, tmp_path)
    assert read_config(tmp_path)["augmentation"]["shifts"] == {}


@pytest.mark.parametrize("content", ['{"study": {"seeds": [0]}}', '{"mine": 1}', "[1]", "no JSON"])
def test_another_programs_config_is_never_replaced(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    discard_unstarted_run(values(), tmp_path)
    with pytest.raises(UserError, match=r"config|damaged"):
        keep_config(values(), tmp_path)
    assert (tmp_path / "config.json").read_text() == content
