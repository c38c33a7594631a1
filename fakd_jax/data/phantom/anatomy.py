"""Healthy heads for the phantoms: axial, coronal and sagittal sections, drawn by tissue.

Schematic, not anatomical: what matters is that brain, ventricles, skull base, sella and the
dura lie where a lesion of each class would be looked for, and that no two heads are alike.
Directions are the usual ones of MRI: anterior up (axial), superior up (coronal, sagittal),
face to the left (sagittal).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fakd_jax.data.phantom.shapes import Field, capsule, ellipse, inside, paint, smooth_noise

PLANES = ("axial", "coronal", "sagittal")
CONTRASTS = ("t1", "t1c", "t2")

# Brightness of each tissue in T1, T1 with contrast agent, and T2.
TISSUES = {
    "air": (0.02, 0.02, 0.02),
    "fat": (0.92, 0.85, 0.72),
    "muscle": (0.42, 0.45, 0.30),
    "bone": (0.07, 0.07, 0.06),
    "marrow": (0.34, 0.33, 0.24),
    "dura": (0.34, 0.72, 0.22),
    "csf": (0.15, 0.14, 0.95),
    "grey": (0.46, 0.47, 0.62),
    "white": (0.63, 0.61, 0.43),
    "vessel": (0.14, 0.94, 0.08),
    "gland": (0.60, 0.86, 0.52),
    "choroid": (0.40, 0.80, 0.75),
    "hyperintensity": (0.50, 0.50, 0.82),
    "necrosis": (0.24, 0.20, 0.94),
    "rim": (0.44, 0.97, 0.66),
    "oedema": (0.42, 0.40, 0.84),
    "meningioma": (0.80, 0.97, 0.80),
    "adenoma": (0.76, 0.93, 0.76),
}


@dataclass
class Head:
    """A head under way: places, tissues' brightness, and the picture as drawn so far.

    Attributes:
      rng: where every draw comes from.
      plane: one of `PLANES`.
      sellar: whether the section passes through the sella turcica.
      tissues: brightness of each tissue in this picture.
      x: place of each pixel, to the right.
      y: likewise, downwards.
      pixel: length of a pixel.
      picture: brightness, about 0 to 1.
      cavity: depth inside the skull's inner table; lesions lie where it is positive.
      brain: depth inside the brain.
      sella: place of the pituitary gland in the section, if it passes there.
      falx: rows (from, to) over which the falx lies on the midline, if it does.
    """

    rng: np.random.Generator
    plane: str
    sellar: bool
    tissues: dict[str, float]
    x: Field
    y: Field
    pixel: float
    picture: Field
    cavity: Field = field(init=False)
    brain: Field = field(init=False)
    sella: tuple[float, float] | None = None
    falx: tuple[float, float] | None = None

    def fill(self, depth: Field, tissue: str, *, share: float = 1.0, blur: float = 1.5) -> None:
        """Paints one tissue inside a shape, its edge softened over `blur` pixels."""
        mask = inside(depth, blur * self.pixel)
        paint(self.picture, mask * np.float32(share), self.tissues[tissue])

    def vary(self, value: float, share: float = 0.1) -> float:
        """A number within `share` of `value`."""
        return float(value * self.rng.uniform(1 - share, 1 + share))

    def noise(self, cells: int) -> Field:
        """Smooth noise over the picture."""
        shape = (self.picture.shape[0], self.picture.shape[1])
        return smooth_noise(self.rng, shape, cells)


def draw_head(
    rng: np.random.Generator, shape: tuple[int, int], *, plane: str, contrast: str, sellar: bool
) -> Head:
    """Draws a healthy head in a random pose.

    Args:
      rng: source of every draw.
      shape: height and width of the picture.
      plane: one of `PLANES`.
      contrast: one of `CONTRASTS`.
      sellar: whether the section passes through the sella.
    """
    column = CONTRASTS.index(contrast)
    tissues = {name: values[column] * rng.uniform(0.93, 1.07) for name, values in TISSUES.items()}
    x, y, pixel = _pose(rng, shape)
    head = Head(rng, plane, sellar, tissues, x, y, pixel, np.full(shape, tissues["air"], "f4"))
    {"axial": _axial, "coronal": _coronal, "sagittal": _sagittal}[plane](head)
    _vessels(head)
    _white_spots(head)
    return head


def _pose(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Field, Field, float]:
    """Places of the pixels for a head of random size, position, turn and gentle deformation."""
    half = min(shape) / 2 * rng.uniform(0.88, 1.0)
    turn = np.clip(rng.normal(0.0, np.radians(5)), -0.25, 0.25)
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    shift = rng.normal(0.0, 0.03, 2)
    rows = ((np.arange(shape[0]) + 0.5 - shape[0] / 2) / half + shift[0]).astype(np.float32)
    columns = ((np.arange(shape[1]) + 0.5 - shape[1] / 2) / half + shift[1]).astype(np.float32)
    x = cos * columns[None, :] + sin * rows[:, None]
    y = cos * rows[:, None] - sin * columns[None, :]
    x *= np.float32(rng.uniform(0.95, 1.06))
    if rng.random() < 0.1:
        x = -x
    x += np.float32(0.02) * smooth_noise(rng, shape, 3)
    y += np.float32(0.02) * smooth_noise(rng, shape, 3)
    return x, y, 1 / half


def _skull(head: Head, outline: Field) -> Field:
    """Scalp, bone with its marrow, and dura, from the outside in; returns the depth in it."""
    scalp, bone = head.vary(0.055, 0.3), head.vary(0.065, 0.25)
    head.fill(outline, "fat")
    head.fill(outline - scalp, "bone")
    marrow = np.float32(bone * 0.28) - abs(outline - np.float32(scalp + bone / 2))
    head.fill(marrow, "marrow", share=head.rng.uniform(0.3, 0.9))
    return outline - np.float32(scalp + bone)


def _cerebrum(head: Head, brain: Field) -> None:
    """Dura, fluid, cortex with sulci, and white matter inside the depth `brain`."""
    head.brain = brain
    rng = head.rng
    head.fill(head.cavity, "dura", share=rng.uniform(0.5, 1.0))
    head.fill(head.cavity - 0.018, "csf")
    fluid = np.float32(head.vary(0.03, 0.5))
    folds, waves = head.noise(int(rng.integers(15, 21))), head.noise(6)
    tissue = np.full_like(head.picture, head.tissues["white"])
    cortex = np.clip((0.12 + 0.03 * waves - brain) / 0.05, 0, 1)
    grooves = np.clip(1 - abs(folds) / 0.75, 0, 1) * np.clip((0.27 - brain) / 0.10, 0, 1)
    paint(tissue, np.maximum(cortex, np.minimum(1, 1.6 * grooves)), head.tissues["grey"])
    tissue *= 1 + np.float32(0.025) * head.noise(9)
    paint(head.picture, inside(brain - fluid, 1.5 * head.pixel), tissue)
    sulci = np.clip(1 - abs(folds) / np.float32(rng.uniform(0.2, 0.4)), 0, 1)
    sulci *= np.clip((0.23 + 0.03 * waves - brain) / 0.08, 0, 1) * inside(brain, head.pixel)
    paint(head.picture, sulci * np.float32(rng.uniform(0.5, 0.95)), head.tissues["csf"])


def _cerebellum(head: Head, depth: Field, centre: tuple[float, float]) -> None:
    """A grey mass with fine leaves around `centre`, set off by fluid."""
    head.fill(depth + 0.025, "csf")
    radius = np.hypot(head.x - np.float32(centre[0]), head.y - np.float32(centre[1]))
    leaves = np.sin(radius * np.float32(head.vary(75.0)) + head.noise(5))
    value = head.tissues["grey"] * (1 + np.float32(0.10) * leaves)
    paint(head.picture, inside(depth, 1.5 * head.pixel), value)
    head.fill(depth - 0.09, "white", share=0.5, blur=6.0)


def _sellar_region(head: Head, sella: tuple[float, float], *, sides: bool) -> None:
    """The normal gland in a little fluid and, where the section shows them, both carotids."""
    head.sella = sella
    x, y, gland = head.x, head.y, head.vary(0.04, 0.3)
    head.fill(ellipse(x, y, (sella[0], sella[1] - 0.05), (0.13, 0.08)), "csf", share=0.85)
    head.fill(ellipse(x, y, sella, (1.5 * gland, gland)), "gland")
    if sides:
        for side in (-1, 1):
            place = (sella[0] + side * head.vary(0.14), sella[1] + 0.01)
            head.fill(ellipse(x, y, place, (0.03, 0.035)), "vessel")


def _face(head: Head, region: Field) -> None:
    """Muscle and fat in patches, below or in front of the skull base."""
    patches = np.clip(0.5 + 0.8 * head.noise(9), 0, 1)
    value = head.tissues["muscle"] + patches**2 * (head.tissues["fat"] - head.tissues["muscle"])
    paint(head.picture, inside(region, 2 * head.pixel), value.astype(np.float32))


def _ventricle(
    head: Head, centre: tuple[float, float], radii: tuple[float, float], tilt: float
) -> None:
    head.fill(ellipse(head.x, head.y, centre, radii, tilt), "csf")


def _axial(head: Head) -> None:
    """From above: eyes and skull base in some of the sellar sections, ventricles in the rest."""
    x, y, rng = head.x, head.y, head.rng
    width, length = head.vary(0.76, 0.06), head.vary(0.95, 0.03)
    outline = ellipse(x / (1 + np.float32(0.10) * y), y, (0.0, 0.0), (width, length))
    head.cavity = _skull(head, outline)
    eyes = head.sellar and rng.random() < 0.5
    brain = head.cavity - 0.018
    if eyes:
        front = y + np.float32(0.42) - np.float32(0.30) * np.exp(-((x / 0.20) ** 2))
        head.cavity = np.minimum(head.cavity, 0.8 * front)
        brain = head.cavity - 0.018
        _face(head, np.minimum(outline - 0.05, -front))
    _cerebrum(head, brain)
    if eyes:
        _orbits(head)
    gap = head.vary(0.012, 0.4)
    head.falx = (-0.75, -0.35) if not eyes else None
    if not eyes:
        _fissure(head, gap, above=-0.30)
    if head.sellar:
        _axial_base(head, eyes=eyes)
    else:
        _axial_ventricles(head, gap)


def _fissure(head: Head, gap: float, *, above: float) -> None:
    """The gap between the hemispheres and the falx in it, from the top down to row `above`."""
    line = np.minimum(np.float32(above) - head.y, head.cavity)
    wavy = abs(head.x + np.float32(0.008) * head.noise(7))
    head.fill(np.minimum(np.float32(gap) - wavy, line), "csf", share=0.8)
    head.fill(np.minimum(np.float32(0.006) - abs(head.x), line - 0.05), "dura", share=0.7)


def _orbits(head: Head) -> None:
    x, y = head.x, head.y
    apart, height = head.vary(0.33, 0.08), -head.vary(0.60, 0.05)
    for side in (-1, 1):
        head.fill(capsule(x, y, (side * apart, height), (side * 0.14, -0.28), 0.13), "fat")
        nerve = capsule(x, y, (side * apart, height), (side * 0.12, -0.25), 0.02)
        head.fill(nerve, "muscle")
        head.fill(ellipse(x, y, (side * apart, height), (0.135, 0.145)), "muscle", share=0.7)
        head.fill(ellipse(x, y, (side * apart, height), (0.12, 0.13)), "csf")
    head.fill(ellipse(x, y, (0.0, -0.55), (0.13, 0.24)), "air", share=head.rng.uniform(0.6, 1.0))


def _axial_base(head: Head, *, eyes: bool) -> None:
    """Cisterns, brainstem, cerebellum, and the sella on the midline."""
    x, y = head.x, head.y
    level = -0.06 if eyes else -0.14
    head.fill(ellipse(x, y, (0.0, level + 0.06), (head.vary(0.17), 0.14)), "csf", blur=4.0)
    for side in (-1, 1):
        start, end = (side * 0.10, level + 0.05), (side * 0.50, level - 0.10)
        head.fill(capsule(x, y, start, end, 0.018), "csf", share=0.9)
        head.fill(capsule(x, y, (side * 0.62, 0.20), (side * 0.22, 0.06), 0.035), "bone", blur=4.0)
    posterior = ellipse(x, y, (0.0, 0.52), (0.50, 0.27))
    _cerebellum(head, np.minimum(posterior, head.cavity - 0.03), (0.0, 0.42))
    head.fill(ellipse(x, y, (0.0, 0.20), (head.vary(0.17), head.vary(0.15))), "white", share=0.8)
    head.fill(ellipse(x, y, (0.0, 0.37), (0.05, head.vary(0.035, 0.4))), "csf")
    _sellar_region(head, (head.rng.normal(0.0, 0.01), level), sides=True)


def _axial_ventricles(head: Head, gap: float) -> None:
    """Lateral ventricles, not quite alike, with the deep grey matter beside them."""
    x, y, rng = head.x, head.y, head.rng
    size, tilt = rng.uniform(0.6, 1.5), head.vary(0.28, 0.3)
    high = rng.random() < 0.35
    for side in (-1, 1):
        own = size * rng.uniform(0.8, 1.2)
        if not high:
            head.fill(
                ellipse(x, y, (side * 0.17, 0.02), (0.10, 0.15), side * 0.4), "grey", blur=3.0
            )
            head.fill(
                ellipse(x, y, (side * 0.30, -0.10), (0.06, 0.18), side * -0.2), "grey", blur=3.0
            )
        _ventricle(head, (side * 0.11, -0.18), (0.055 * own, 0.16), side * tilt * -1)
        _ventricle(head, (side * 0.20, 0.22), (0.06 * own, 0.18), side * tilt)
        if rng.random() < 0.5:
            head.fill(ellipse(x, y, (side * 0.19, 0.20), (0.02, 0.05)), "choroid")
    if not high:
        head.fill(ellipse(x, y, (0.0, 0.03), (head.vary(0.018, 0.5), 0.10)), "csf")
    _fissure(head, gap, above=1.0 if high else -0.30)
    head.fill(np.minimum(np.minimum(gap - abs(x), y - 0.35), head.cavity), "csf", share=0.8)


def _dome(head: Head, outline: Field, face: Field, base: Field, *, air: list[Field]) -> None:
    """Skull over a face: `outline` is the cranium's, `base` the depth above the skull base."""
    whole = np.maximum(outline, face)
    cavity = _skull(head, whole)
    below = np.minimum(whole - 0.045, -base - 0.035)
    _face(head, below)
    cranium = outline - (whole - cavity)
    head.cavity = np.minimum(cranium, base)
    for hollow in air:
        head.fill(np.minimum(hollow, below), "air", share=head.rng.uniform(0.7, 1))


def _coronal(head: Head) -> None:
    """From the front: through the sella, or further back through the cerebellum."""
    x, y, rng = head.x, head.y, head.rng
    wide = head.vary(0.74, 0.05)
    outline = ellipse(x, y, (0.0, -0.14), (wide, head.vary(0.80, 0.04)))
    jaw = np.minimum(np.float32(head.vary(0.56)) - abs(x), y)
    lobes = np.float32(0.16) * np.exp(-(((abs(x) - 0.42) / 0.20) ** 2))
    base = np.float32(head.vary(0.26 if head.sellar else 0.40, 0.06)) + lobes - y
    air = [
        ellipse(x, y, (0.0, 0.46), (head.vary(0.16, 0.3), head.vary(0.10, 0.3))),
        ellipse(x, y, (0.0, 0.74), (0.10, 0.14)),
    ]
    _dome(head, outline, jaw, base, air=air if head.sellar else [])
    _cerebrum(head, head.cavity - 0.018)
    head.falx = (-0.80, -0.42)
    gap = head.vary(0.012, 0.4)
    _fissure(head, gap, above=-0.33)
    size, apart = rng.uniform(0.6, 1.5), 0.13 if head.sellar else 0.22
    for side in (-1, 1):
        own = size * rng.uniform(0.8, 1.2)
        head.fill(ellipse(x, y, (side * 0.24, -0.08), (0.10, 0.13)), "grey", share=0.8, blur=4.0)
        head.fill(capsule(x, y, (side * 0.62, -0.02), (side * 0.40, 0.0), 0.02), "csf", share=0.9)
        _ventricle(head, (side * apart, -0.22), (0.12, 0.05 * own), side * 0.5)
    head.fill(ellipse(x, y, (0.0, -0.30), (0.16, 0.03)), "white")
    if head.sellar:
        head.fill(ellipse(x, y, (0.0, -0.06), (head.vary(0.016, 0.5), 0.08)), "csf")
        _sellar_region(head, (rng.normal(0.0, 0.01), 0.21), sides=True)
    else:
        mass = ellipse(x, y, (0.0, 0.25), (head.vary(0.46), head.vary(0.20)))
        _cerebellum(head, np.minimum(mass, head.cavity - 0.03), (0.0, 0.15))


def _sagittal(head: Head) -> None:
    """From the side: the midline with corpus callosum and brainstem, or a section beside it."""
    x, y, rng = head.x, head.y, head.rng
    outline = ellipse(x, y, (0.04, -0.16), (head.vary(0.90, 0.04), head.vary(0.74, 0.05)))
    face = np.maximum(
        ellipse(x, y, (-0.38, 0.45), (0.44, 0.52)),
        np.minimum(np.minimum(x + np.float32(0.25), np.float32(0.50) - x), y),
    )
    if head.sellar:
        face = np.maximum(face, ellipse(x, y, (-0.80, 0.38), (0.10, 0.14), -0.3))
    floor = np.where(x < -0.20, 0.16 + 0.30 * (x + 0.20), 0.20 + 0.45 * np.minimum(x + 0.20, 0.35))
    base = floor.astype(np.float32) + np.float32(rng.normal(0.02, 0.01)) - y
    air = [
        ellipse(x, y, (-0.34, 0.30), (head.vary(0.13, 0.3), head.vary(0.09, 0.3))),
        capsule(x, y, (-0.60, 0.50), (-0.20, 0.48), 0.05),
        capsule(x, y, (-0.10, 0.50), (-0.06, 0.90), 0.05),
    ]
    _dome(head, outline, face, base, air=air)
    _cerebrum(head, np.minimum(head.cavity, np.float32(0.20) - y) - 0.018)
    leaf = (0.42, 0.26)
    mass = ellipse(x, y, leaf, (head.vary(0.27), head.vary(0.17)), 0.25)
    _cerebellum(head, np.minimum(mass, head.cavity - 0.02), leaf)
    (_midline if head.sellar else _beside_midline)(head)


def _midline(head: Head) -> None:
    x, y = head.x, head.y
    thick, bow = head.vary(0.035, 0.25), head.vary(0.30, 0.08)
    arch = ellipse(x, y, (0.04, -0.08), (1.25 * bow, bow))
    callosum = np.minimum(np.minimum(arch, 2 * thick - arch), -0.06 - y)
    head.fill(np.minimum(arch - 2 * thick, -0.02 - y), "csf", share=head.rng.uniform(0.5, 1))
    head.fill(callosum, "white")
    head.fill(ellipse(x, y, (0.06, -0.02), (0.16, 0.10)), "grey")
    stem = capsule(x, y, (0.06, 0.10), (0.13, 0.75), 0.075)
    pons = np.maximum(ellipse(x, y, (0.03, 0.28), (0.11, 0.13)), stem)
    head.fill(pons + 0.03, "csf")
    head.fill(pons, "white", share=0.85)
    head.fill(ellipse(x, y, (0.18, 0.28), (head.vary(0.03, 0.4), 0.08), 0.3), "csf")
    _sellar_region(head, (-0.20, 0.145), sides=False)


def _beside_midline(head: Head) -> None:
    rng = head.rng
    size = rng.uniform(0.6, 1.4)
    _ventricle(head, (0.08, -0.16), (0.26, 0.04 * size), head.vary(0.2))
    _ventricle(head, (0.22, -0.02), (0.10, 0.03 * size), -0.6)
    head.fill(ellipse(head.x, head.y, (-0.02, -0.05), (0.15, 0.08)), "grey", share=0.9, blur=4.0)


def _vessels(head: Head) -> None:
    """Bright (with contrast agent) or dark dots and threads, and the venous sinus; in any head."""
    rng, x, y = head.rng, head.x, head.y
    for _ in range(rng.integers(2, 7)):
        start = rng.uniform(-0.6, 0.6, 2)
        end = start + rng.normal(0.0, rng.choice([0.01, 0.12]), 2)
        radius = rng.uniform(0.008, 0.028)
        thread = capsule(x, y, tuple(start), tuple(end + 1e-3), radius)
        head.fill(np.minimum(thread, head.cavity), "vessel", share=rng.uniform(0.4, 1))
    if head.falx is not None and rng.random() < 0.7:
        rim = ellipse(x, y, (0.0, head.falx[0] - 0.05), (0.06, 0.05))
        head.fill(np.minimum(rim, head.cavity + 0.03), "vessel", share=rng.uniform(0.4, 1))


def _white_spots(head: Head) -> None:
    """A few small age-related spots in the white matter; in any head."""
    rng = head.rng
    for _ in range(rng.poisson(1.2)):
        place = rng.uniform((-0.5, -0.5), (0.5, 0.1))
        spot = ellipse(head.x, head.y, tuple(place), tuple(rng.uniform(0.015, 0.05, 2)))
        head.fill(np.minimum(spot, head.brain - 0.1), "hyperintensity", share=0.8, blur=3.0)
