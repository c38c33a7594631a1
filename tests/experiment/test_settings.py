import math
import re

import pytest
from ml_collections import ConfigDict

from fakd_jax.configs import fakd
from fakd_jax.errors import UserError
from fakd_jax.experiment.settings import keep_config, validate


def test_every_variant_is_valid():
    for variant in fakd.VARIANTS:
        validate(fakd.get_config(variant))


def test_every_value_out_of_range_is_named():
    config = fakd.get_config()
    config.distillation.alpha = 1.5
    config.batch_size = 0
    config.optimizer.schedule = "linear"
    with pytest.raises(UserError) as error:
        validate(config)
    for key in ("config.distillation.alpha=1.5", "config.batch_size=0", "cosine_epoch"):
        assert key in str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("teacher.batch_norm_momentum", 0.0),
        ("student.batch_norm_momentum", 1.5),
        ("student.batch_norm_momentum", math.nan),
        ("distillation.temperature", math.inf),
        ("distillation.temperature", math.nan),
        ("distillation.beta", math.inf),
        ("optimizer.learning_rate", math.inf),
        ("optimizer.weight_decay", math.inf),
        ("augmentation.rotation_degrees", math.inf),
        ("data.mean", (0.5, math.nan, 0.5)),
        ("data.mean", (0.5, 0.5)),
        ("data.mean", (0.5, "half", 0.5)),
        ("data.std", (0.5, math.inf, 0.5)),
        ("data.std", (0.5, 0.0, 0.5)),
    ],
)
def test_numbers_that_cannot_be_meant_are_named(key, value):
    config = fakd.get_config()
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=rf"^config\.{re.escape(key)}=[^;]* must be [^;]*$"):
        validate(config)


def test_the_ends_of_the_ranges_are_valid():
    config = fakd.get_config()
    config.student.batch_norm_momentum = 1.0
    config.data.mean = (0, -1.0, 0.5)
    config.optimizer.weight_decay = 0.0
    validate(config)


def test_a_teacher_run_of_no_epochs_is_refused():
    config = fakd.get_config()
    config.train = "teacher"
    config.teacher.num_epochs = 0
    with pytest.raises(UserError, match="trains nothing"):
        validate(config)


def test_a_missing_key_is_named():
    config = fakd.get_config()
    del config.data.image_size
    with pytest.raises(UserError, match=r"config\.data\.image_size is missing"):
        validate(config)


def test_a_workdir_keeps_its_config(tmp_path):
    config = fakd.get_config("phantom")
    keep_config(config, tmp_path)
    keep_config(config, tmp_path)
    config.data.cache_dir = "elsewhere"  # says where, not what
    keep_config(config, tmp_path)
    config.seed = 5
    with pytest.raises(UserError, match="seed was 0, is 5"):
        keep_config(config, tmp_path)


def test_an_ordinary_run_keeps_its_teacher(tmp_path):
    config = fakd.get_config("phantom")
    config.teacher.checkpoint = "one"
    keep_config(config, tmp_path)
    config.teacher.checkpoint = "other"
    with pytest.raises(UserError, match=r"teacher\.checkpoint was 'one', is 'other'"):
        keep_config(config, tmp_path)


def test_a_wholly_different_config_is_told_in_few_words(tmp_path):
    keep_config(ConfigDict({f"key{index}": 1 for index in range(12)}), tmp_path)
    with pytest.raises(UserError, match=r"key0 was 1, is 2; .*; and 4 more\)"):
        keep_config(ConfigDict({f"key{index}": 2 for index in range(12)}), tmp_path)


def test_a_study_names_keys_as_its_command_line_does():
    config = fakd.get_config()
    config.batch_size = 0
    with pytest.raises(UserError, match=r"^config\.base\.batch_size=0 must be at least 1$"):
        validate(config, prefix="config.base.")
