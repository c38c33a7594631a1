import dataclasses
import json
import math
import re

import pytest
from ml_collections import ConfigDict

from fakd_jax.configs import fakd
from fakd_jax.errors import UserError
from fakd_jax.experiment.settings import parse


def config_with(changes):
    config = fakd.get_config().copy_and_resolve_references()
    with config.ignore_type():
        config.update_from_flattened_dict(changes)
    return config


@pytest.mark.parametrize("variant", fakd.VARIANTS)
def test_settings_hold_the_configs_values(variant):
    config = fakd.get_config(variant)
    assert parse(config).to_dict() == json.loads(config.to_json())


def test_a_network_may_have_an_optimizer_of_its_own():
    config = fakd.get_config()
    config.student.optimizer.learning_rate = 1e-3
    config.student.optimizer.schedule = "constant"
    config.optimizer.ema_decay = 0.9
    settings = parse(config)
    assert settings.optimizer_of("teacher") == settings.optimizer
    own = dataclasses.replace(settings.optimizer, learning_rate=1e-3, schedule="constant")
    assert settings.optimizer_of("student") == own


def test_every_problem_is_named_at_once():
    config = config_with(
        {
            "distillation.alpha": 1.5,
            "batch_size": 0,
            "optimizer.schedule": "linear",
            "augmentation.flip_probabilty": 0.1,
            "distillation.terms.nkd": 1.0,
            "seed": "many",
        }
    )
    del config.data.image_size
    with pytest.raises(UserError) as error:
        parse(config)
    for part in (
        "config.distillation.alpha=1.5 must",
        "config.batch_size=0 must be at least 1",
        "must be one of cosine_epoch",
        "flip_probabilty is not a key of an experiment; did you mean flip_probability?",
        "config.distillation.terms.nkd is not a key of an experiment; did you mean nckd?",
        "config.seed='many' must be an integer",
        "config.data.image_size is missing",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", 3),
        ("seed", True),
        ("batch_size", 8.0),
        ("teacher.allow_untrained", "no"),
        ("teacher.batch_norm_momentum", 0.0),
        ("student.batch_norm_momentum", 1.5),
        ("student.batch_norm_momentum", math.nan),
        ("student.batch_norm_momentum", "half"),
        ("distillation.temperature", math.inf),
        ("distillation.temperature", math.nan),
        ("distillation.beta", math.inf),
        ("distillation.layer_pairs", "layer3"),
        ("distillation.layer_pairs", "layer2:features.12,layer3:"),
        ("distillation.layer_pairs", ("layer3:features.16",)),
        ("distillation.normalise_features", 1),
        ("distillation.terms", 1.0),
        ("distillation.terms.nckd", -1.0),
        ("augmentation.mixup_alpha", math.inf),
        ("optimizer.learning_rate", math.inf),
        ("optimizer.weight_decay", math.inf),
        ("optimizer.ema_decay", 1.0),
        ("student.optimizer.learning_rate", 0.0),
        ("student.optimizer.schedule", "linear"),
        ("student.recalibrate_batch_norm", -1),
        ("early_stopping.monitor", "f1"),
        ("augmentation.rotation_degrees", math.inf),
        ("augmentation.shift_probability", 1.1),
        ("augmentation.shifts", 3),
        ("data.intensity", "percentiles"),
        ("data.mean", (0.5, math.nan, 0.5)),
        ("data.mean", (0.5, 0.5)),
        ("data.mean", (0.5, "half", 0.5)),
        ("data.std", (0.5, math.inf, 0.5)),
        ("data.std", (0.5, 0.0, 0.5)),
    ],
)
def test_values_of_a_wrong_type_or_range_are_named(key, value):
    with pytest.raises(UserError, match=rf"^config\.{re.escape(key)}=[^;]* must be [^;]*$"):
        parse(config_with({key: value}))


def test_the_ends_of_the_ranges_are_valid():
    settings = parse(
        config_with(
            {
                "student.batch_norm_momentum": 1.0,
                "data.mean": (0, -1.0, 0.5),
                "data.intensity": "head_percentiles",
                "optimizer.weight_decay": 0,
            }
        )
    )
    assert settings.student.overrides == {"batch_norm_momentum": 1.0}
    assert settings.data.preprocessing.mean == (0.0, -1.0, 0.5)
    assert settings.data.preprocessing.intensity == "head_percentiles"


def test_shifts_are_kept_in_the_order_of_families():
    changes = {"augmentation.shifts": ConfigDict({"jpeg": 2, "gamma": 3.5})}
    settings = parse(config_with(changes))
    assert settings.augmentation.shifts == (("gamma", 3.5), ("jpeg", 2.0))
    assert settings.to_dict()["augmentation"]["shifts"] == {"gamma": 3.5, "jpeg": 2.0}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("gama", 1.0, "gamma"),
        ("blur", 7, "between 0 and 5"),
        ("blur", math.nan, "between 0 and 5"),
        ("blur", "mild", "must be a number"),
        (3, 1.0, "not a family"),
    ],
)
def test_wrong_shifts_are_named(name, value, message):
    shifts = ConfigDict({name: value}, convert_dict=False)
    with pytest.raises(UserError, match=rf"^config\.augmentation\.shifts\.{name}=.*{message}"):
        parse(config_with({"augmentation.shifts": shifts}))


def test_a_teacher_run_of_no_epochs_is_refused():
    with pytest.raises(UserError, match="trains nothing"):
        parse(config_with({"train": "teacher", "teacher.num_epochs": 0}))


@pytest.mark.parametrize(
    "changes",
    [
        {"distillation.terms.right_reasons": 1.0},
        {"augmentation.lesion_crop": 0.5, "train": "teacher"},
        {"augmentation.lesion_infill": 0.5},
        {
            "augmentation.lesion_infill": 0.5,
            "augmentation.mixup_alpha": 0.2,
            "data.lesion_masks": "own",
        },
        {
            "distillation.terms.lesion_attention": 1.0,
            "augmentation.mixup_alpha": 0.2,
            "data.lesion_masks": "own",
        },
    ],
)
def test_lesions_without_masks_and_mixtures_of_lesions_are_refused(changes):
    with pytest.raises(
        UserError, match=r"^config\.(data\.lesion_masks|augmentation\.mixup_alpha) "
    ):
        parse(config_with(changes))


def test_a_counterfactual_term_without_infill_is_refused():
    changes = {"distillation.terms.counterfactual": 0.1, "data.lesion_masks": "own"}
    with pytest.raises(UserError, match=r"^config\.distillation\.terms\.counterfactual "):
        parse(config_with(changes))
    assert parse(config_with(changes | {"augmentation.lesion_infill": 0.5})).needs_masks("student")


def test_attention_on_lesions_of_no_feature_map_is_refused():
    changes = {
        "distillation.terms.lesion_attention": 1.0,
        "distillation.lesion_layer": "",
        "data.lesion_masks": "own",
    }
    with pytest.raises(UserError, match=r"^config\.distillation\.lesion_layer is empty"):
        parse(config_with(changes))


def test_masks_are_needed_by_the_roles_that_use_them():
    masks = {"data.lesion_masks": "own"}
    terms = parse(config_with(masks | {"distillation.terms.lesion_attention": 1.0}))
    augmentation = parse(config_with(masks | {"augmentation.background": 0.5}))
    neither = parse(config_with(masks))
    needed = [
        [settings.needs_masks(role) for role in ("teacher", "student")]
        for settings in (terms, augmentation, neither)
    ]
    assert needed == [[False, True], [True, True], [False, False]]


def test_a_warm_up_as_long_as_a_network_is_trained_is_refused():
    with pytest.raises(UserError, match=r"warmup_epochs=2 leaves none of student\.num_epochs=2"):
        parse(config_with({"student.num_epochs": 2, "student.optimizer.warmup_epochs": 2.0}))


def test_a_study_names_keys_as_its_command_line_does():
    with pytest.raises(UserError, match=r"^config\.base\.batch_size=0 must be at least 1$"):
        parse(config_with({"batch_size": 0}), prefix="config.base.")


@pytest.mark.parametrize("share", [0.0, 1.5, -1.0, "half"])
def test_a_share_of_labels_out_of_range_is_named(share):
    with pytest.raises(UserError, match=r"config\.data\.labelled_share"):
        parse(config_with({"data.labelled_share": share}))
