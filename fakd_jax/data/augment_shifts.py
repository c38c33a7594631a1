"""Random shifts of the training images: families of `fakd_jax.shifts`, drawn per image."""

from __future__ import annotations

import difflib

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32, Key

from fakd_jax.data.augment_some import change_some
from fakd_jax.shifts.draws import uniforms
from fakd_jax.shifts.families import FAMILIES, SEVERITIES, Family
from fakd_jax.shifts.geometry import warp

Shifts = tuple[tuple[str, float], ...]
"""Families of `FAMILIES` and their strongest severities, in any order."""

_GROUPS = ("resolution", "intensity", "artefacts")
"""After geometry, in this order: as a scan is resampled, displayed and exported."""


def problem_with(name: str, strongest: float) -> str:
    """What is wrong with a family and its strongest severity; "" if nothing is."""
    if name not in FAMILIES:
        nearest = difflib.get_close_matches(str(name), FAMILIES, n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(FAMILIES)}"
        return f"is not a family of shifts; {hint}"
    most = SEVERITIES[-1]
    return "" if 0 <= strongest <= most else f"must be a severity between 0 and {most}"


def shift_batch(
    keys: Key[Array, " B"],
    images: Float32[Array, "B H W 3"],
    masks: Float32[Array, "B H W 1"] | None,
    before: Float32[Array, "B 3 3"],
    shifts: Shifts,
    probability: float,
) -> tuple[Float32[Array, "B H W 3"], Float32[Array, "B H W 1"] | None]:
    """Draws for each image which families shift it and how strongly, and applies them.

    The maps of all geometric families are composed into one bilinear look-up. Resolution, intensity
    and artefacts follow, families of a group in the order of `FAMILIES`.

    Args:
      keys: one per image; a family's draws depend on nothing else.
      images: in [0, 1].
      masks: of the images, moved with them; None if there are none.
      before: affine maps of :func:`fakd_jax.shifts.geometry.warp` that come first.
      shifts: families and their strongest severities.
      probability: of each family.

    Returns:
      Images and masks, in [0, 1].
    """
    strongest = dict(shifts)
    drawn = [
        (family, *draw(keys, name, strongest[name], probability))
        for name, family in FAMILIES.items()
        if name in strongest
    ]
    size = (images.shape[1], images.shape[2])
    maps = before
    for family, own_keys, amounts in drawn:
        if family.matrices is not None:
            own = family.matrices(own_keys, amounts, size)
            maps = jnp.matmul(maps, own, precision="highest")
    images = warp(images, maps)
    for group in _GROUPS:
        for family, own_keys, amounts in drawn:
            if family.group == group:
                images = _apply(family, own_keys, images, amounts)
    return images, None if masks is None else warp(masks, maps)


def _apply(
    family: Family,
    keys: Key[Array, " B"],
    images: Float32[Array, "B H W 3"],
    amounts: Float32[Array, " B"],
) -> Float32[Array, "B H W 3"]:
    def shifted(numbers: Int32[Array, " n"], some: Float32[Array, "n H W 3"]) -> Array:
        return family.apply(keys[numbers], some, amounts[numbers])

    return change_some(images, amounts != family.neutral, shifted)


def draw(
    keys: Key[Array, " B"], name: str, strongest: float, probability: float
) -> tuple[Key[Array, " B"], Float32[Array, " B"]]:
    """Draws a family's keys and amounts: with `probability` a severity from U(0, strongest).

    Args:
      keys: one per image; the draws of the families are independent.
      name: of the family.
      strongest: severity, at most 5.
      probability: that an amount is not the neutral one.
    """
    number, family = list(FAMILIES).index(name), FAMILIES[name]

    def own_keys(key: Key[Array, ""]) -> Key[Array, " 2"]:
        return jax.random.split(jax.random.fold_in(key, number))

    own, other = jnp.moveaxis(jax.vmap(own_keys)(keys), 1, 0)
    chosen, severity = jnp.moveaxis(uniforms(other, 2), 1, 0)
    amounts = family.amount(strongest * severity)
    return own, jnp.where(chosen < probability, amounts, family.neutral)
