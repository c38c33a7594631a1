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
    ("options", "complaint"),
    [
        ({"segmenter": "felzenszwalb"}, "known: slic, quickshift"),
        ({"hide": "black"}, "known: mean, blur, inpaint"),
        ({"superpixels": 1}, "at least 2"),
        ({"superpixels": 9, "segmenter": "quickshift"}, "quickshift finds the number itself"),
    ],
)
def test_wrong_scenes_are_refused(options: dict, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        choose_scene_builder("default", **options)


def test_options_go_to_the_methods_that_have_them() -> None:
    (paper,) = choose_explainers(["lime"], "paper", {"num_samples": None})
    assert paper.settings()["num_samples"] == 1000
    (ours,) = choose_explainers(["lime"], "default", {"max_samples": 900, "num_samples": None})
    assert ours.settings()["num_samples"] == "auto"
    assert ours.num_predictions == 900
    with pytest.raises(UserError, match="lime has no setting layer"):
        choose_explainers(["lime"], "default", {"layer": "features.3"})
    with pytest.raises(UserError, match="unknown method 'shap'; known: lime"):
        choose_explainers(["shap"], "default", {})


@pytest.mark.parametrize(
    ("names", "preset", "num_samples"),
    [
        (["lime"], "default", 500),
        (["lime"], "paper", None),
        (["lime"], "paper", 500),
        (["rise", "lime"], "default", 500),
    ],
)
def test_a_budget_is_not_dropped_where_the_number_of_samples_is_set(
    names: list[str], preset: str, num_samples: int | None
) -> None:
    with pytest.raises(UserError, match=r"max_samples is 900.* leave max_samples out"):
        choose_explainers(names, preset, {"num_samples": num_samples, "max_samples": 900})
