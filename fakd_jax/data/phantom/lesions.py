"""The lesions of the phantoms: where each class sits, its shape, and what it does around it.

Told apart by place, contour and texture, as a reader would, not by brightness or size alone:
the gliomas lie within the brain, are irregular, patchy and surrounded by oedema; meningiomas sit
on the dura with a broad base, smooth and even; pituitary adenomas are round or lobulated masses
that rise from the sella.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from fakd_jax.data.phantom.anatomy import Head
from fakd_jax.data.phantom.shapes import Field, blob, inside, paint

SELLA_MARGIN = 0.22
"""Gliomas and meningiomas keep their contour this far from the sella's centre."""


@dataclass
class _Site:
    """Where a lesion's centre comes to lie, and the direction away from its base."""

    centre: tuple[float, float]
    direction: Float32[np.ndarray, 2]


def add_glioma(head: Head) -> Bool[np.ndarray, "H W"]:
    """Paints a glioma with its oedema; returns the mask of the tumour without the oedema."""
    rng = head.rng
    radius = rng.uniform(0.17, 0.30)
    room = (head.brain > 0.55 * radius + 0.04) & _away_from_sella(head, radius)
    site = _pick(head, room)
    orders = np.arange(2, 9, dtype=np.float32)
    wild = rng.normal(0, 1, (len(orders), 2)).astype(np.float32) * (0.17 / orders**0.7)[:, None]
    tilt = rng.uniform(0, np.pi)
    stretch = rng.uniform(1.0, 1.7)
    depth = blob(head.x, head.y, site.centre, radius, stretch=stretch, tilt=tilt, harmonics=wild)
    depth += np.float32(0.16 * radius) * head.noise(14)
    depth = np.minimum(depth, head.brain - 0.02)

    reach = np.float32(radius * rng.uniform(0.25, 0.8))
    fingers = depth + reach * (1 + np.float32(0.6) * head.noise(7))
    swollen = inside(np.minimum(fingers, head.brain - 0.07), 0.10)
    paint(head.picture, swollen * np.float32(rng.uniform(0.5, 0.95)), head.tissues["oedema"])

    patches, grain = head.noise(12), head.noise(24)
    core = inside(depth - radius * rng.uniform(0.15, 0.45) + 0.3 * radius * patches, 0.06)
    solid = head.tissues["rim"] if rng.random() < 0.85 else head.tissues["oedema"]  # low grade
    value = solid + core * (head.tissues["necrosis"] - solid)
    value = value * (1 + np.float32(0.12) * grain + np.float32(0.08) * patches)
    paint(head.picture, inside(depth, 4 * head.pixel), value)
    return depth > 0


def add_meningioma(head: Head) -> Bool[np.ndarray, "H W"]:
    """Paints a meningioma on the inner table or the falx; returns its mask."""
    rng = head.rng
    radius = rng.uniform(0.18, 0.30)
    on_falx = head.falx is not None and rng.random() < 0.25
    site, wall = _on_falx(head, radius) if on_falx else _on_inner_table(head, radius)
    orders = np.arange(2, 5, dtype=np.float32)
    gentle = rng.normal(0, 1, (len(orders), 2)).astype(np.float32) * (0.05 / orders)[:, None]
    tilt = float(np.arctan2(site.direction[1], site.direction[0]) + np.pi / 2)
    depth = blob(
        head.x,
        head.y,
        site.centre,
        radius,
        stretch=rng.uniform(1.0, 1.45),
        tilt=tilt,
        harmonics=gentle,
    )
    depth = np.minimum(depth, wall)
    if rng.random() < 0.35:
        halo = inside(np.minimum(depth + 0.5 * radius, head.brain - 0.05), 0.12)
        paint(head.picture, halo * np.float32(rng.uniform(0.3, 0.8)), head.tissues["oedema"])
    cleft = np.minimum(depth + np.float32(rng.uniform(0.01, 0.03)), wall)
    head.fill(cleft, "csf", share=rng.uniform(0.5, 0.9))
    if not on_falx:  # the dural tail
        tail = np.minimum(depth + 0.45 * radius, np.float32(0.022) - abs(wall - 0.01))
        head.fill(tail, "meningioma", share=rng.uniform(0, 0.9))
    value = head.tissues["meningioma"] * (1 + np.float32(0.03) * head.noise(10))
    paint(head.picture, inside(depth, 2 * head.pixel), value)
    return depth > 0


def add_pituitary(head: Head) -> Bool[np.ndarray, "H W"]:
    """Paints an adenoma that rises from the sella; returns its mask."""
    if head.sella is None:
        raise ValueError("a pituitary lesion needs a section through the sella")
    rng = head.rng
    radius = rng.uniform(0.14, 0.22)
    orders = np.arange(2, 5, dtype=np.float32)
    gentle = rng.normal(0, 1, (len(orders), 2)).astype(np.float32) * (0.08 / orders)[:, None]
    x0, y0 = head.sella
    x0 += rng.normal(0, 0.02)
    depth = blob(
        head.x,
        head.y,
        (x0, y0 - 0.3 * radius),
        radius,
        stretch=rng.uniform(1.0, 1.3),
        tilt=rng.normal(0, 0.4),
        harmonics=gentle,
    )
    if head.plane != "axial" and rng.random() < 0.6:  # through the diaphragm: a snowman
        upper = radius * rng.uniform(0.7, 1.0)
        place = (x0 + rng.normal(0, 0.02), y0 - 0.3 * radius - rng.uniform(0.8, 1.2) * radius)
        depth = np.maximum(depth, blob(head.x, head.y, place, upper, harmonics=gentle[::-1]))
    head.fill(depth + np.float32(rng.uniform(0.01, 0.03)), "csf", share=rng.uniform(0.3, 0.9))
    value = head.tissues["adenoma"] * (1 + np.float32(0.06) * head.noise(12))
    if rng.random() < 0.3:  # a cyst within
        cyst = inside(depth - 0.45 * radius + 0.2 * radius * head.noise(8), 0.03)
        value = value + cyst * (head.tissues["necrosis"] - value)
    paint(head.picture, inside(depth, 2 * head.pixel), value)
    return depth > 0


ADD_LESION = {"glioma": add_glioma, "meningioma": add_meningioma, "pituitary": add_pituitary}


def _away_from_sella(head: Head, radius: float) -> Bool[np.ndarray, "H W"]:
    if head.sella is None:
        return np.ones(head.picture.shape, bool)
    distance = np.hypot(head.x - np.float32(head.sella[0]), head.y - np.float32(head.sella[1]))
    return distance > radius + SELLA_MARGIN


def _pick(head: Head, room: Bool[np.ndarray, "H W"]) -> _Site:
    """A random pixel of `room`, or the deepest of the brain if there is none."""
    places = np.flatnonzero(room)
    place = int(head.rng.choice(places)) if len(places) else int(np.argmax(head.brain))
    row, column = divmod(place, head.picture.shape[1])
    centre = (float(head.x[row, column]), float(head.y[row, column]))
    return _Site(centre, _inward(head.cavity, head, row, column))


def _on_inner_table(head: Head, radius: float) -> tuple[_Site, Field]:
    """A site whose centre lies inside the skull by part of the radius, and the cavity's depth."""
    rim = (head.cavity > 0) & (head.cavity < 2 * head.pixel) & _away_from_sella(head, 0.5 * radius)
    base = _pick(head, rim)
    lift = radius * head.rng.uniform(0.25, 0.65)
    centre = (
        base.centre[0] + lift * float(base.direction[0]),
        base.centre[1] + lift * float(base.direction[1]),
    )
    return _Site(centre, base.direction), head.cavity


def _on_falx(head: Head, radius: float) -> tuple[_Site, Field]:
    """A site at one side of the midline, and the depth within that half of the cavity."""
    if head.falx is None:
        raise ValueError("this section has no falx")
    side = head.rng.choice([-1.0, 1.0])
    row = head.rng.uniform(*head.falx)
    centre = (side * radius * head.rng.uniform(0.2, 0.6), row)
    half = (np.float32(side) * head.x).astype(np.float32)
    return _Site(centre, np.array([side, 0], np.float32)), np.minimum(half, head.cavity)


def _inward(depth: Field, head: Head, row: int, column: int) -> Float32[np.ndarray, 2]:
    """Unit vector (x, y) along which `depth` grows at a pixel."""
    height, width = depth.shape
    left, right = max(column - 1, 0), min(column + 1, width - 1)
    above, below = max(row - 1, 0), min(row + 1, height - 1)

    def change(values: Field) -> tuple[float, float]:
        return (
            float(values[row, right] - values[row, left]),
            float(values[below, column] - values[above, column]),
        )

    # The head may be turned or mirrored in the picture; its places change by a rotation, nearly.
    across, down = change(depth)
    (x_across, x_down), (y_across, y_down) = change(head.x), change(head.y)
    direction = np.array([x_across * across + x_down * down, y_across * across + y_down * down])
    return (direction / max(float(np.linalg.norm(direction)), 1e-9)).astype(np.float32)
