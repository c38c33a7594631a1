"""Healthy heads for the phantoms: axial, coronal and sagittal sections, painted tissue by tissue.

Schematic, not anatomical: brain, ventricles, skull base, sella and dura lie where a lesion of each
class would be looked for, and no two heads are alike. Orientation follows MRI convention: anterior
up (axial), superior up (coronal, sagittal), face to the left (sagittal).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fakd_jax.data.phantom.shapes import (
    Field,
    Point,
    capsule,
    ellipse,
    inside,
    paint,
    smooth_noise,
)

PLANES = ("axial", "coronal", "sagittal")
CONTRASTS = ("t1", "t1c", "flair")

# Brightness of each tissue in T1, T1 with contrast agent, and FLAIR.
TISSUES = {
    "air": (0.02, 0.02, 0.02),
    "fat": (0.92, 0.85, 0.70),
    "muscle": (0.42, 0.45, 0.30),
    "bone": (0.07, 0.07, 0.06),
    "marrow": (0.34, 0.33, 0.24),
    "dura": (0.34, 0.72, 0.24),
    "csf": (0.15, 0.14, 0.13),
    "grey": (0.46, 0.47, 0.58),
    "white": (0.63, 0.61, 0.46),
    "vessel": (0.14, 0.94, 0.08),
    "gland": (0.60, 0.86, 0.54),
    "choroid": (0.40, 0.80, 0.60),
    "hyperintensity": (0.50, 0.50, 0.80),
    "necrosis": (0.14, 0.12, 0.18),
    "rim": (0.74, 1.00, 0.96),
    "oedema": (0.36, 0.33, 0.84),
    "meningioma": (0.80, 0.97, 0.84),
    "adenoma": (0.76, 0.93, 0.80),
}


@dataclass
class Head:
    """A head being painted.

    Attributes:
      rng: source of all random numbers.
      plane: one of `PLANES`.
      sellar: whether the section passes through the sella turcica.
      tissues: brightness of each tissue in this picture.
      x: position of each pixel, to the right.
      y: position of each pixel, downwards.
      pixel: size of a pixel.
      picture: brightness, about 0 to 1.
      cavity: depth inside the skull's inner table; lesions lie where it is positive.
      brain: depth inside the cerebrum.
      sella: position of the pituitary gland, if the section shows it.
      falx: rows (from, to) over which the falx lies on the midline, if the section shows it.
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
    sella: Point | None = None
    falx: Point | None = None

    def fill(self, depth: Field, tissue: str, *, share: float = 1.0, blur: float = 1.5) -> None:
        """Paints a shape with a tissue of opacity `share`, its edge softened over `blur` pixels."""
        paint(self.picture, share * inside(depth, blur * self.pixel), self.tissues[tissue])

    def vary(self, value: float, share: float = 0.1) -> float:
        """Returns a random number within `share` of `value`."""
        return value * self.rng.uniform(1 - share, 1 + share)

    def noise(self, cells: int) -> Field:
        """Returns smooth noise over the picture."""
        return smooth_noise(self.rng, self.picture.shape, cells)

    def ellipse(self, centre: Point, radii: Point, tilt: float = 0.0) -> Field:
        """Depth inside an ellipse."""
        return ellipse(self.x, self.y, centre, radii, tilt)

    def capsule(self, start: Point, end: Point, radius: float) -> Field:
        """Depth inside a thick line."""
        return capsule(self.x, self.y, start, end, radius)


def draw_head(
    rng: np.random.Generator, shape: tuple[int, int], *, plane: str, contrast: str, sellar: bool
) -> Head:
    """Draws a healthy head in a random pose.

    Args:
      rng: source of all random numbers.
      shape: height and width of the picture, in pixels.
      plane: one of `PLANES`.
      contrast: one of `CONTRASTS`.
      sellar: whether the section passes through the sella.
    """
    column = CONTRASTS.index(contrast)
    tissues = {name: values[column] * rng.uniform(0.93, 1.07) for name, values in TISSUES.items()}
    x, y, pixel = _pose(rng, shape)
    picture = np.full(shape, tissues["air"], np.float32)
    head = Head(rng, plane, sellar, tissues, x, y, pixel, picture)
    {"axial": _axial, "coronal": _coronal, "sagittal": _sagittal}[plane](head)
    _vessels(head)
    _white_spots(head)
    return head


def _pose(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Field, Field, float]:
    """Positions of the pixels for a head of random size, place, rotation and gentle deformation."""
    half = min(shape) / 2 * rng.uniform(0.94, 1.06)
    rows, columns = (
        (np.arange(n, dtype=np.float32) + (0.5 - n / 2)) / half + rng.normal(0, 0.03) for n in shape
    )
    turn = np.clip(rng.normal(0, np.radians(5)), -0.25, 0.25)
    cos, sin = float(np.cos(turn)), float(np.sin(turn))
    x = cos * columns[None, :] + sin * rows[:, None]
    y = cos * rows[:, None] - sin * columns[None, :]
    x *= rng.uniform(0.95, 1.06) * (-1 if rng.random() < 0.1 else 1)
    x += 0.02 * smooth_noise(rng, shape, 3)
    y += 0.02 * smooth_noise(rng, shape, 3)
    return x, y, 1 / half


def _skull(head: Head, outline: Field) -> Field:
    """Paints scalp, bone and its marrow from the outside in; returns the depth inside the bone."""
    scalp, bone = head.vary(0.055, 0.3), head.vary(0.065, 0.25)
    head.fill(outline, "fat")
    head.fill(outline - scalp, "bone")
    marrow = bone * 0.28 - abs(outline - (scalp + bone / 2))
    head.fill(marrow, "marrow", share=head.rng.uniform(0.3, 0.9))
    return outline - (scalp + bone)


def _cerebrum(head: Head, brain: Field) -> None:
    """Paints dura, fluid, cortex with sulci, and white matter inside the depth `brain`."""
    head.brain = brain
    rng = head.rng
    head.fill(head.cavity, "dura", share=rng.uniform(0.5, 1.0))
    head.fill(head.cavity - 0.018, "csf")
    fluid = head.vary(0.03, 0.5)
    folds, waves = head.noise(int(rng.integers(15, 21))), head.noise(6)
    tissue = np.full_like(head.picture, head.tissues["white"])
    cortex = np.clip((0.12 + 0.03 * waves - brain) / 0.05, 0, 1)
    grooves = np.clip(1 - abs(folds) / 0.75, 0, 1) * np.clip((0.27 - brain) / 0.10, 0, 1)
    paint(tissue, np.maximum(cortex, np.minimum(1, 1.6 * grooves)), head.tissues["grey"])
    tissue *= 1 + 0.025 * head.noise(9)
    paint(head.picture, inside(brain - fluid, 1.5 * head.pixel), tissue)
    sulci = np.clip(1 - abs(folds) / rng.uniform(0.2, 0.4), 0, 1)
    sulci *= np.clip((0.23 + 0.03 * waves - brain) / 0.08, 0, 1) * inside(brain, head.pixel)
    paint(head.picture, sulci * rng.uniform(0.5, 0.95), head.tissues["csf"])


def _cerebellum(head: Head, depth: Field, centre: Point) -> None:
    """Paints a grey mass with fine folia around `centre`, set off by fluid from the cerebrum."""
    head.brain = np.minimum(head.brain, -depth)
    head.fill(depth + 0.025, "csf")
    radius = np.hypot(head.x - centre[0], head.y - centre[1])
    folia = np.sin(radius * head.vary(75.0) + head.noise(5))
    value = head.tissues["grey"] * (1 + 0.10 * folia)
    paint(head.picture, inside(depth, 1.5 * head.pixel), value)
    head.fill(depth - 0.09, "white", share=0.5, blur=6.0)


def _sellar_region(head: Head, sella: Point, *, sides: bool) -> None:
    """Paints the normal gland in a little fluid and, with `sides`, both carotids."""
    head.sella = sella
    x, y = sella
    gland = head.vary(0.04, 0.3)
    head.fill(head.ellipse((x, y - 0.05), (0.13, 0.08)), "csf", share=0.85)
    head.fill(head.ellipse(sella, (1.5 * gland, gland)), "gland")
    if sides:
        for side in (-1, 1):
            head.fill(head.ellipse((x + side * head.vary(0.14), y + 0.01), (0.03, 0.035)), "vessel")


def _face(head: Head, region: Field) -> None:
    """Paints muscle and fat in patches, below or in front of the skull base."""
    patches = np.clip(0.25 + 0.5 * head.noise(16), 0, 1)
    value = head.tissues["muscle"] + patches**2 * (head.tissues["fat"] - head.tissues["muscle"])
    paint(head.picture, inside(region, 2 * head.pixel), value)


def _axial(head: Head) -> None:
    """Seen from above: eyes and skull base in some sellar sections, ventricles in the others."""
    x, y, rng = head.x, head.y, head.rng
    radii = (head.vary(0.76, 0.06), head.vary(0.95, 0.03))
    outline = ellipse(x / (1 + 0.10 * y), y, (0.0, 0.0), radii)
    head.cavity = _skull(head, outline)
    eyes = head.sellar and rng.random() < 0.5
    if eyes:
        front = y + 0.42 - 0.30 * np.exp(-((x / 0.20) ** 2))
        head.cavity = np.minimum(head.cavity, 0.8 * front)
        _face(head, np.minimum(outline - 0.05, -front))
    _cerebrum(head, head.cavity - 0.018)
    gap = head.vary(0.012, 0.4)
    if eyes:
        _orbits(head)
    else:
        head.falx = (-0.75, -0.35)
        _fissure(head, gap, above=-0.30)
    if head.sellar:
        _axial_base(head, eyes=eyes)
    else:
        _axial_ventricles(head, gap)


def _fissure(head: Head, gap: float, *, above: float) -> None:
    """Paints the gap between the hemispheres and the falx in it, from the top to row `above`."""
    line = np.minimum(above - head.y, head.cavity)
    wavy = abs(head.x + 0.008 * head.noise(7))
    head.fill(np.minimum(gap - wavy, line), "csf", share=0.8)
    head.fill(np.minimum(0.006 - abs(head.x), line - 0.05), "dura", share=0.7)


def _orbits(head: Head) -> None:
    apart, height = head.vary(0.33, 0.08), -head.vary(0.60, 0.05)
    for side in (-1, 1):
        eye = (side * apart, height)
        head.fill(head.capsule(eye, (side * 0.14, -0.28), 0.13), "fat")
        head.fill(head.capsule(eye, (side * 0.12, -0.25), 0.02), "muscle")
        head.fill(head.ellipse(eye, (0.135, 0.145)), "muscle", share=0.7)
        head.fill(head.ellipse(eye, (0.12, 0.13)), "csf")
    head.fill(head.ellipse((0.0, -0.55), (0.13, 0.24)), "air", share=head.rng.uniform(0.6, 1.0))


def _axial_base(head: Head, *, eyes: bool) -> None:
    """Paints cisterns, brainstem, cerebellum, and the sella on the midline."""
    level = -0.06 if eyes else -0.14
    head.fill(head.ellipse((0.0, level + 0.06), (head.vary(0.17), 0.14)), "csf", blur=4.0)
    for side in (-1, 1):
        start, end = (side * 0.10, level + 0.05), (side * 0.50, level - 0.10)
        head.fill(head.capsule(start, end, 0.018), "csf", share=0.9)
        head.fill(head.capsule((side * 0.62, 0.20), (side * 0.22, 0.06), 0.035), "bone", blur=4.0)
    posterior = head.ellipse((0.0, 0.52), (0.50, 0.27))
    _cerebellum(head, np.minimum(posterior, head.cavity - 0.03), (0.0, 0.42))
    head.fill(head.ellipse((0.0, 0.20), (head.vary(0.17), head.vary(0.15))), "white", share=0.8)
    head.fill(head.ellipse((0.0, 0.37), (0.05, head.vary(0.035, 0.4))), "csf")
    _sellar_region(head, (head.rng.normal(0.0, 0.01), level), sides=True)


def _axial_ventricles(head: Head, gap: float) -> None:
    """Paints lateral ventricles, not quite alike, with the deep grey matter beside them."""
    rng = head.rng
    size, tilt = rng.uniform(0.6, 1.5), head.vary(0.28, 0.3)
    high = rng.random() < 0.35
    for side in (-1, 1):
        own = size * rng.uniform(0.8, 1.2)
        if not high:
            thalamus = head.ellipse((side * 0.17, 0.02), (0.10, 0.15), side * 0.4)
            lentiform = head.ellipse((side * 0.30, -0.10), (0.06, 0.18), side * -0.2)
            head.fill(np.maximum(thalamus, lentiform), "grey", blur=3.0)
        head.fill(head.ellipse((side * 0.11, -0.18), (0.055 * own, 0.16), side * -tilt), "csf")
        head.fill(head.ellipse((side * 0.20, 0.22), (0.06 * own, 0.18), side * tilt), "csf")
        if rng.random() < 0.5:
            head.fill(head.ellipse((side * 0.19, 0.20), (0.02, 0.05)), "choroid")
    if not high:
        head.fill(head.ellipse((0.0, 0.03), (head.vary(0.018, 0.5), 0.10)), "csf")
    _fissure(head, gap, above=1.0 if high else -0.30)
    behind = np.minimum(np.minimum(gap - abs(head.x), head.y - 0.35), head.cavity)
    head.fill(behind, "csf", share=0.8)


def _cranium(head: Head, outline: Field, face: Field, base: Field, air: list[Field]) -> None:
    """Paints the skull above a face, with air in the face.

    Args:
      head: to paint.
      outline: depth inside the cranium.
      face: depth inside the face and neck.
      base: depth above the skull base.
      air: depths inside the airways.
    """
    whole = np.maximum(outline, face)
    cavity = _skull(head, whole)
    below = np.minimum(whole - 0.045, -base - 0.035)
    _face(head, below)
    head.cavity = np.minimum(outline - (whole - cavity), base)
    for airway in air:
        head.fill(np.minimum(airway, below), "air", share=head.rng.uniform(0.7, 1))


def _coronal(head: Head) -> None:
    """Seen from the front: through the sella, or further back through the cerebellum."""
    x, y, rng = head.x, head.y, head.rng
    outline = head.ellipse((0.0, -0.14), (head.vary(0.74, 0.05), head.vary(0.80, 0.04)))
    jaw = np.minimum(head.vary(0.56) - abs(x), y)
    lobes = 0.16 * np.exp(-(((abs(x) - 0.42) / 0.20) ** 2))
    base = head.vary(0.26 if head.sellar else 0.40, 0.06) + lobes - y
    airways = [
        head.ellipse((0.0, 0.46), (head.vary(0.16, 0.3), head.vary(0.10, 0.3))),
        head.ellipse((0.0, 0.74), (0.10, 0.14)),
    ]
    _cranium(head, outline, jaw, base, airways if head.sellar else [])
    _cerebrum(head, head.cavity - 0.018)
    head.falx = (-0.80, -0.42)
    _fissure(head, head.vary(0.012, 0.4), above=-0.33)
    size, apart = rng.uniform(0.6, 1.5), 0.13 if head.sellar else 0.22
    for side in (-1, 1):
        own = size * rng.uniform(0.8, 1.2)
        head.fill(head.ellipse((side * 0.24, -0.08), (0.10, 0.13)), "grey", share=0.8, blur=4.0)
        head.fill(head.capsule((side * 0.62, -0.02), (side * 0.40, 0.0), 0.02), "csf", share=0.9)
        head.fill(head.ellipse((side * apart, -0.22), (0.12, 0.05 * own), side * 0.5), "csf")
    head.fill(head.ellipse((0.0, -0.30), (0.16, 0.03)), "white")
    if head.sellar:
        head.fill(head.ellipse((0.0, -0.06), (head.vary(0.016, 0.5), 0.08)), "csf")
        _sellar_region(head, (rng.normal(0.0, 0.01), 0.21), sides=True)
    else:
        mass = head.ellipse((0.0, 0.25), (head.vary(0.46), head.vary(0.20)))
        _cerebellum(head, np.minimum(mass, head.cavity - 0.03), (0.0, 0.15))


def _sagittal(head: Head) -> None:
    """Seen from the side: along the midline, with corpus callosum and brainstem, or beside it."""
    x, y = head.x, head.y
    outline = head.ellipse((0.04, -0.16), (head.vary(0.90, 0.04), head.vary(0.74, 0.05)))
    neck = np.minimum(np.minimum(x + 0.25, 0.50 - x), y)
    face = np.maximum(head.ellipse((-0.38, 0.45), (0.44, 0.52)), neck)
    if head.sellar:
        face = np.maximum(face, head.ellipse((-0.80, 0.38), (0.10, 0.14), -0.3))
    floor = np.where(x < -0.20, 0.16 + 0.30 * (x + 0.20), 0.20 + 0.45 * np.minimum(x + 0.20, 0.35))
    base = floor + head.rng.normal(0.02, 0.01) - y
    airways = [
        head.ellipse((-0.34, 0.30), (head.vary(0.13, 0.3), head.vary(0.09, 0.3))),
        head.capsule((-0.60, 0.50), (-0.20, 0.48), 0.05),
        head.capsule((-0.10, 0.50), (-0.06, 0.90), 0.05),
    ]
    _cranium(head, outline, face, base, airways)
    _cerebrum(head, np.minimum(head.cavity, 0.20 - y) - 0.018)
    centre = (0.42, 0.26)
    mass = head.ellipse(centre, (head.vary(0.27), head.vary(0.17)), 0.25)
    _cerebellum(head, np.minimum(mass, head.cavity - 0.02), centre)
    (_midline if head.sellar else _beside_midline)(head)


def _midline(head: Head) -> None:
    thick, bow = head.vary(0.035, 0.25), head.vary(0.30, 0.08)
    arch = head.ellipse((0.04, -0.08), (1.25 * bow, bow))
    callosum = np.minimum(np.minimum(arch, 2 * thick - arch), -0.06 - head.y)
    ventricle = np.minimum(arch - 2 * thick, -0.02 - head.y)
    head.fill(ventricle, "csf", share=head.rng.uniform(0.5, 1))
    head.fill(callosum, "white")
    head.fill(head.ellipse((0.06, -0.02), (0.16, 0.10)), "grey")
    stem = head.capsule((0.06, 0.10), (0.13, 0.75), 0.075)
    stem = np.maximum(head.ellipse((0.03, 0.28), (0.11, 0.13)), stem)
    head.fill(stem + 0.03, "csf")
    head.fill(stem, "white", share=0.85)
    head.fill(head.ellipse((0.18, 0.28), (head.vary(0.03, 0.4), 0.08), 0.3), "csf")
    _sellar_region(head, (-0.20, 0.145), sides=False)


def _beside_midline(head: Head) -> None:
    size = head.rng.uniform(0.6, 1.4)
    head.fill(head.ellipse((0.08, -0.16), (0.26, 0.04 * size), head.vary(0.2)), "csf")
    head.fill(head.ellipse((0.22, -0.02), (0.10, 0.03 * size), -0.6), "csf")
    head.fill(head.ellipse((-0.02, -0.05), (0.15, 0.08)), "grey", share=0.9, blur=4.0)


def _vessels(head: Head) -> None:
    """Paints dots and threads, bright with contrast agent, and the venous sinus, in any head."""
    rng = head.rng
    for _ in range(rng.integers(1, 5)):
        start = rng.uniform(-0.6, 0.6, 2)
        end = start + rng.normal(0.0, rng.choice([0.01, 0.12]), 2) + 1e-3
        thread = head.capsule(tuple(start.tolist()), tuple(end.tolist()), rng.uniform(0.008, 0.022))
        head.fill(np.minimum(thread, head.cavity), "vessel", share=rng.uniform(0.4, 1))
    if head.falx is not None and rng.random() < 0.7:
        sinus = head.ellipse((0.0, head.falx[0] - 0.05), (0.06, 0.05))
        head.fill(np.minimum(sinus, head.cavity + 0.03), "vessel", share=rng.uniform(0.4, 1))


def _white_spots(head: Head) -> None:
    """Paints a few small age-related spots in the white matter, in any head."""
    rng = head.rng
    for _ in range(rng.poisson(1.2)):
        centre = (rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.1))
        spot = head.ellipse(centre, (rng.uniform(0.015, 0.05), rng.uniform(0.015, 0.05)))
        head.fill(np.minimum(spot, head.brain - 0.1), "hyperintensity", share=0.8, blur=3.0)
