import json

import pytest

from fakd_jax.configs import fakd
from fakd_jax.errors import UserError
from fakd_jax.experiment.resume import discard_unstarted_run, keep_config
from fakd_jax.experiment.settings import parse


def values(**changes):
    config = fakd.get_config("phantom")
    config.update_from_flattened_dict(changes)
    return parse(config).to_dict()


def test_a_run_is_resumed_with_its_config_alone(tmp_path):
    keep_config(values(), tmp_path)
    keep_config(values(), tmp_path)
    keep_config(values(**{"data.cache_dir": "elsewhere"}), tmp_path)  # where, not what
    for key, change in (("seed", 5), ("teacher.checkpoint", "other")):
        with pytest.raises(UserError, match=f"{key} was .*, is {change!r}"):
            keep_config(values(**{key: change}), tmp_path)


def test_a_run_of_an_earlier_version_can_be_resumed(tmp_path):
    """Those wrote the config itself: the same keys, numbers not yet converted."""
    config = fakd.get_config("phantom")
    config.data.mean = (0, 0, 0)
    (tmp_path / "config.json").write_text(json.dumps(json.loads(config.to_json()), indent=2))
    keep_config(parse(config).to_dict(), tmp_path)


def test_few_of_many_differences_are_listed(tmp_path):
    keep_config({f"key{index}": 1 for index in range(12)}, tmp_path)
    with pytest.raises(UserError, match=r"key0 was 1, is 2; .*; and 4 more\)"):
        keep_config({f"key{index}": 2 for index in range(12)}, tmp_path)


def test_only_an_unstarted_run_is_discarded(tmp_path):
    keep_config(values(), tmp_path)
    (tmp_path / "student" / "last" / "4").mkdir(parents=True)
    discard_unstarted_run(values(), tmp_path)
    assert (tmp_path / "config.json").is_file()
    (tmp_path / "student" / "last" / "4").rename(tmp_path / "student" / "last" / ".4.saving")
    discard_unstarted_run(values(seed=1), tmp_path)
    assert not (tmp_path / "config.json").is_file()


@pytest.mark.parametrize("content", ['{"study": {"seeds": [0]}}', '{"mine": 1}', "[1]", "no JSON"])
def test_another_programs_config_is_never_replaced(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    discard_unstarted_run(values(), tmp_path)
    with pytest.raises(UserError, match=r"config|damaged"):
        keep_config(values(), tmp_path)
    assert (tmp_path / "config.json").read_text() == content
