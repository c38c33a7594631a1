"""The phantoms' lesions: where each class sits, its shape, and what it does to its surroundings.

They differ in site, contour and texture, as for a radiologist: gliomas lie within the brain,
irregular, with a bright rim around necrosis and oedema about them; meningiomas sit on the dura with
a broad base, smooth and homogeneous; pituitary adenomas rise from the sella, round or lobulated.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32

from fakd_jax.data.phantom.anatomy import Head
from fakd_jax.data.phantom.shapes import Field, Point, blob, inside, paint

Mask = Bool[np.ndarray, "H W"]

SELLA_MARGIN = 0.22
"""Least distance of a glioma's or meningioma's contour from the sella's centre."""


def add_glioma(head: Head) -> Mask:
    """Paints a glioma and its oedema; returns the mask of the tumour without the oedema."""
    rng = head.rng
    radius = rng.uniform(0.28, 0.40)
    room = np.minimum(head.brain - (0.55 * radius + 0.04), _outside_sella(head, radius))
    centre, _ = _pick(head, room)
    depth = blob(
        head.x,
        head.y,
        centre,
        radius,
        stretch=rng.uniform(1.0, 1.7),
        tilt=rng.uniform(0, np.pi),
        harmonics=_harmonics(rng, 8, 0.17, decay=0.7),
    )
    depth += 0.16 * radius * head.noise(14)
    depth = np.minimum(depth, head.brain - 0.02)

    fingers = depth + radius * rng.uniform(0.4, 0.8) * (1 + 0.6 * head.noise(7))
    swollen = inside(np.minimum(fingers, head.brain - 0.07), 0.10)
    paint(head.picture, swollen * rng.uniform(0.7, 1.0), head.tissues["oedema"])

    patches, grain = head.noise(12), head.noise(24)
    core = inside(depth - radius * rng.uniform(0.3, 0.5) + 0.2 * radius * patches, 0.06)
    solid = head.tissues["rim" if rng.random() < 0.95 else "oedema"]  # low grade: no rim
    value = solid + core * (head.tissues["necrosis"] - solid)
    value *= 1 + 0.12 * grain + 0.08 * patches
    paint(head.picture, inside(depth, 2.5 * head.pixel), value)
    return depth > 0


def add_meningioma(head: Head) -> Mask:
    """Paints a meningioma on the skull's inner table or the falx; returns its mask."""
    rng = head.rng
    radius = rng.uniform(0.25, 0.38)
    on_falx = head.falx is not None and rng.random() < 0.25
    centre, away, wall = (_on_falx if on_falx else _on_inner_table)(head, radius)
    depth = blob(
        head.x,
        head.y,
        centre,
        radius,
        stretch=rng.uniform(1.0, 1.45),
        tilt=float(np.arctan2(away[1], away[0])) + np.pi / 2,
        harmonics=_harmonics(rng, 4, 0.05),
    )
    depth = np.minimum(depth, wall)
    if rng.random() < 0.35:
        halo = inside(np.minimum(depth + 0.5 * radius, head.brain - 0.05), 0.12)
        paint(head.picture, halo * rng.uniform(0.3, 0.8), head.tissues["oedema"])
    cleft = np.minimum(depth + rng.uniform(0.01, 0.03), wall)
    head.fill(cleft, "csf", share=rng.uniform(0.5, 0.9))
    if not on_falx:
        dural_tail = np.minimum(depth + 0.45 * radius, 0.022 - abs(wall - 0.01))
        head.fill(dural_tail, "meningioma", share=rng.uniform(0, 0.9))
    value = head.tissues["meningioma"] * (1 + 0.03 * head.noise(10))
    paint(head.picture, inside(depth, 2 * head.pixel), value)
    return depth > 0


def add_pituitary(head: Head) -> Mask:
    """Paints an adenoma that rises from the sella; returns its mask."""
    if head.sella is None:
        raise ValueError("a pituitary lesion needs a section through the sella")
    rng = head.rng
    radius = rng.uniform(0.20, 0.29)
    x, y = head.sella[0] + rng.normal(0, 0.02), head.sella[1] - 0.3 * radius
    gentle = _harmonics(rng, 4, 0.08)
    depth = blob(
        head.x,
        head.y,
        (x, y),
        radius,
        stretch=rng.uniform(1.0, 1.3),
        tilt=rng.normal(0, 0.4),
        harmonics=gentle,
    )
    if head.plane != "axial" and rng.random() < 0.6:  # through the diaphragm: a snowman
        upper = (x + rng.normal(0, 0.02), y - rng.uniform(0.8, 1.2) * radius)
        size = radius * rng.uniform(0.7, 1.0)
        depth = np.maximum(depth, blob(head.x, head.y, upper, size, harmonics=gentle[::-1]))
    head.fill(depth + rng.uniform(0.01, 0.03), "csf", share=rng.uniform(0.3, 0.9))
    value = head.tissues["adenoma"] * (1 + 0.06 * head.noise(12))
    paint(head.picture, inside(depth, 2 * head.pixel), value)
    return depth > 0


ADD_LESION = {"glioma": add_glioma, "meningioma": add_meningioma, "pituitary": add_pituitary}


def _harmonics(
    rng: np.random.Generator, highest: int, amplitude: float, *, decay: float = 1.0
) -> Float32[np.ndarray, "K 2"]:
    """Random harmonics of a contour, from order 2 up, that fall with the order."""
    orders = np.arange(2, highest + 1)[:, None]
    return (rng.normal(0, 1, (highest - 1, 2)) * amplitude / orders**decay).astype(np.float32)


def _outside_sella(head: Head, radius: float) -> Field:
    """How far a lesion centred at each pixel keeps from the sella; negative where too close."""
    if head.sella is None:
        return np.full_like(head.x, np.inf)
    return np.hypot(head.x - head.sella[0], head.y - head.sella[1]) - (radius + SELLA_MARGIN)


def _pick(head: Head, room: Field) -> tuple[Point, tuple[int, int]]:
    """Returns the position and (row, column) of a random pixel with room, or of the roomiest."""
    candidates = np.flatnonzero(room > 0)
    pixel = int(head.rng.choice(candidates) if len(candidates) else np.argmax(room))
    row, column = divmod(pixel, room.shape[1])
    return (float(head.x[row, column]), float(head.y[row, column])), (row, column)


def _on_inner_table(head: Head, radius: float) -> tuple[Point, Point, Field]:
    """Returns a centre inside the skull, the direction away from the bone, and the cavity."""
    rim = np.minimum(head.cavity, 2 * head.pixel - head.cavity)
    (x, y), pixel = _pick(head, np.minimum(rim, _outside_sella(head, 0.8 * radius)))
    # The head may be rotated or mirrored: apply the chain rule from pixels to head units.
    across, down = (float(change[pixel]) for change in np.gradient(head.cavity)[::-1])
    x_down, x_across = (float(change[pixel]) for change in np.gradient(head.x))
    y_down, y_across = (float(change[pixel]) for change in np.gradient(head.y))
    dx, dy = x_across * across + x_down * down, y_across * across + y_down * down
    length = max(float(np.hypot(dx, dy)), 1e-9)
    away = (dx / length, dy / length)
    lift = radius * head.rng.uniform(0.25, 0.65)
    return (x + lift * away[0], y + lift * away[1]), away, head.cavity


def _on_falx(head: Head, radius: float) -> tuple[Point, Point, Field]:
    """Returns a centre beside the midline, the direction away from it, and that half's depth."""
    if head.falx is None:
        raise ValueError("this section has no falx")
    side = float(head.rng.choice([-1.0, 1.0]))
    row = head.rng.uniform(*head.falx)
    centre = (side * radius * head.rng.uniform(0.2, 0.6), row)
    return centre, (side, 0.0), np.minimum(side * head.x, head.cavity)
