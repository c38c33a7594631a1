"""From the user's choices to methods and scenes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fakd_jax.errors import UserError
from fakd_jax.explanation.methods.lime import LimeExplainer
from fakd_jax.explanation.methods.registry import create_explainer, settings_of
from fakd_jax.explanation.result import Explainer
from fakd_jax.explanation.scene.builder import PAPER, SEGMENTERS, SceneBuilder
from fakd_jax.explanation.scene.superpixels import Slic

PAPER_SAMPLES = 1000
PRESETS: Mapping[str, SceneBuilder] = {"default": SceneBuilder(), "paper": PAPER}
"""By the name that `--preset` takes."""


def choose_scene_builder(
    preset: str,
    *,
    segmenter: str | None = None,
    superpixels: int | None = None,
    hide: str | None = None,
    whole_image: bool = False,
) -> SceneBuilder:
    """A preset with the user's changes.

    Args:
      preset: a key of :data:`PRESETS`.
      segmenter: a key of :data:`~fakd_jax.explanation.scene.builder.SEGMENTERS`.
      superpixels: how many SLIC starts with.
      hide: a key of :data:`~fakd_jax.explanation.scene.infill.INFILLS`.
      whole_image: treat the air around the head as foreground.

    Raises:
      UserError: an unknown name, a number out of range, or a number of superpixels for quickshift.
    """
    builder = PRESETS[preset]
    if segmenter is not None:
        if segmenter not in SEGMENTERS:
            raise UserError(f"unknown segmenter {segmenter!r}; known: {', '.join(SEGMENTERS)}")
        builder = replace(builder, segmenter=SEGMENTERS[segmenter]())
    if superpixels is not None:
        if not isinstance(builder.segmenter, Slic):
            raise UserError("quickshift finds the number itself; --superpixels is for slic")
        builder = replace(builder, segmenter=replace(builder.segmenter, count=superpixels))
    if hide is not None:
        builder = replace(builder, hide=hide)
    return replace(builder, head_only=False) if whole_image else builder


def choose_explainers(
    names: list[str], preset: str, options: Mapping[str, Any], *, top: int = 3
) -> list[Explainer]:
    """The named methods, each with those of the options that it has.

    Args:
      names: of methods.
      preset: with 'paper', LIME draws as many samples as the paper unless the options differ.
      options: settings by name; None stands for the method's default.
      top: superpixels shown, which have to be stable where a method estimates it.

    Raises:
      UserError: an unknown method, a setting out of range or that none of them has, or a budget
        of samples together with a fixed number.
    """
    given = {key: value for key, value in options.items() if value is not None}
    unused, explainers = set(given), []
    for name in dict.fromkeys(names):
        known = settings_of(name)
        own = {key: value for key, value in {"top": top, **given}.items() if key in known}
        if preset == "paper" and name == LimeExplainer.name:
            own = {"num_samples": PAPER_SAMPLES, **own}
        explainers.append(create_explainer(name, **own))
        unused -= set(known)
    if unused:
        raise UserError(f"{', '.join(names)} has no setting {', '.join(sorted(unused))}")
    return explainers
