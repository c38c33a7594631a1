"""From the user's choices to methods and scenes."""

from __future__ import annotations

import pytest

from fakd_jax.errors import UserError
from fakd_jax.explanation.options import choose_explainers, choose_scene_builder
from fakd_jax.explanation.scene.builder import PAPER, SceneBuilder
from fakd_jax.explanation.scene.superpixels import Slic


def test_presets_and_what_differs_from_them() -> None:
    assert choose_scene_builder("default") == SceneBuilder()
    assert choose_scene_builder("paper") == PAPER
    mixed = choose_scene_builder("paper", segmenter="slic", superpixels=20, hide="blur")
    assert mixed == SceneBuilder(segmenter=Slic(20), head_only=False, hide="blur")
    assert not choose_scene_builder("default", whole_image=True).head_only
    record = mixed.settings()
    assert record["segmenter"] == {"name": "slic", "count": 20, "compactness": 10.0}
    assert record["hide"] == "blur"


@pytest.mark.parametrize(
    "options",
    [
        {"segmenter": "felzenszwalb"},
        {"hide": "black"},
        {"superpixels": 1},
        {"superpixels": 9, "segmenter": "quickshift"},
    ],
)
def test_wrong_scenes_are_refused(options: dict) -> None:
    with pytest.raises(UserError, match="|".join(map(str, options.values()))):
        choose_scene_builder("default", **options)


def test_options_reach_the_methods_that_have_them() -> None:
    (paper,) = choose_explainers(["lime"], "paper", {"num_samples": None})
    assert paper.settings()["num_samples"] == 1000
    (ours,) = choose_explainers(["lime"], "default", {"max_samples": 900, "num_samples": None})
    assert ours.settings()["num_samples"] == "auto"
    assert ours.num_predictions == 900


@pytest.mark.parametrize(
    ("names", "preset", "options", "complaint"),
    [
        (["lime"], "default", {"layer": "features.3"}, "layer"),
        (["shap"], "default", {}, "shap"),
        # A budget must not be ignored where the number of samples is fixed.
        (["lime"], "default", {"num_samples": 500, "max_samples": 900}, "max_samples is 900"),
        (["lime"], "paper", {"num_samples": None, "max_samples": 900}, "max_samples is 900"),
        (["lime"], "paper", {"num_samples": 500, "max_samples": 900}, "max_samples is 900"),
        (["rise", "lime"], "default", {"num_samples": 500, "max_samples": 900}, "max_samples is"),
    ],
)
def test_wrong_methods_and_options_are_refused(
    names: list[str], preset: str, options: dict, complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint):
        choose_explainers(names, preset, options)
