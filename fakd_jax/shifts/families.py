"""The families of shifts by name, each with five severities.

Severity 1 is barely visible; 5 is the strongest at which a reader would still call it the same
image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Key

from fakd_jax.shifts import artefacts, geometry, intensity, resolution
from fakd_jax.shifts.draws import per_image
from fakd_jax.shifts.jpeg import jpeg

Group = Literal["intensity", "resolution", "geometry", "artefacts"]
_Shift = Callable[[Key[Array, " B"], Array, Array], Array]
_Map = Callable[[Key[Array, " B"], Array, tuple[int, int]], Array]

SEVERITIES = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Family:
    """One kind of shift, from none to the strongest.

    Attributes:
      name: its key in `FAMILIES`.
      group: `intensity`, `resolution`, `geometry` or `artefacts`.
      description: what it imitates, in one line for readers.
      parameter: what an amount is, with its unit.
      neutral: the amount that changes nothing.
      severities: the amounts of severities 1 to 5.
      source: of the definition.
      shift: the function of keys, images and amounts; None for geometry.
      matrices: for geometry, the function of keys, amounts and (H, W) that returns the affine maps
        [B, 3, 3] of `geometry.warp`, so that several maps can be composed into one look-up.
    """

    name: str
    group: Group
    description: str
    parameter: str
    neutral: float
    severities: tuple[float, float, float, float, float]
    source: str
    shift: _Shift | None = None
    matrices: _Map | None = None

    def amount(self, severity: float | Float[Array, "*shape"]) -> Float32[Array, "*shape"]:
        """The amount at a severity from 0 (neutral) to 5, linear between the five; NaN beyond.

        >>> FAMILIES["blur"].amount(0.0).item()
        0.0
        """
        known = jnp.asarray((0, *SEVERITIES), jnp.float32)
        amounts = jnp.asarray((self.neutral, *self.severities), jnp.float32)
        return jnp.interp(
            jnp.asarray(severity, jnp.float32), known, amounts, left=jnp.nan, right=jnp.nan
        )

    def apply(
        self,
        keys: Key[Array, " B"],
        images: Float32[Array, "B H W 3"],
        amounts: Float32[Array, " B"],
    ) -> Float32[Array, "B H W 3"]:
        """Shifts each image of a batch by its amount; what is random comes from its key alone.

        Args:
          keys: one per image, `jax.random.split(key, B)`.
          images: in [0, 1].
          amounts: between `neutral` and the strongest of `severities`; see :meth:`amount`. An image
            with the neutral amount comes back as it is.

        Returns:
          In [0, 1].
        """
        if self.matrices is not None:
            shifted = geometry.warp(
                images, self.matrices(keys, amounts, (images.shape[1], images.shape[2]))
            )
        else:
            assert self.shift is not None
            shifted = self.shift(keys, images, amounts)
        unchanged = per_image(amounts == self.neutral)
        return jnp.where(unchanged, images, jnp.clip(shifted, 0, 1))


_IMAGENET_C = "Hendrycks & Dietterich 2019 (ImageNet-C)"
_MEDMNIST_C = "Di Salvo et al. 2024 (MedMNIST-C)"
_TORCHIO = "Pérez-García et al. 2021 (TorchIO)"

_ALL = (
    Family(
        "gamma",
        "intensity",
        "another display curve, darker or brighter",
        "exponent γ, or 1/γ",
        1.0,
        (1.1, 1.25, 1.4, 1.7, 2.0),
        _MEDMNIST_C,
        shift=intensity.gamma,
    ),
    Family(
        "window",
        "intensity",
        "a narrower window when the file was exported",
        "share of the grey levels outside the window",
        0.0,
        (0.1, 0.2, 0.3, 0.4, 0.5),
        "DICOM PS3.3, C.11.2.1.2",
        shift=intensity.window,
    ),
    Family(
        "brightness",
        "intensity",
        "an offset of all grey levels, darker or brighter",
        "offset, of the full range",
        0.0,
        (0.03, 0.06, 0.09, 0.12, 0.15),
        _IMAGENET_C,
        shift=intensity.brightness,
    ),
    Family(
        "contrast",
        "intensity",
        "more or less contrast about the mean",
        "factor c, or 1/c",
        1.0,
        (1.15, 1.3, 1.5, 1.8, 2.2),
        _IMAGENET_C,
        shift=intensity.contrast,
    ),
    Family(
        "local_contrast",
        "intensity",
        "adaptive contrast, as viewers offer it",
        "share of the full stretch",
        0.0,
        (0.2, 0.4, 0.6, 0.8, 1.0),
        "Wallis 1976; Zuiderveld 1994 (CLAHE)",
        shift=intensity.local_contrast,
    ),
    Family(
        "inversion",
        "intensity",
        "files in which black is the highest value",
        "share of the images that are inverted",
        0.0,
        (0.2, 0.4, 0.6, 0.8, 1.0),
        "DICOM PS3.3, C.7.6.3.1.2",
        shift=intensity.inversion,
    ),
    Family(
        "downsampling",
        "resolution",
        "a coarser matrix, enlarged on export",
        "factor, both axes",
        1.0,
        (1.25, 1.5, 2.0, 2.5, 3.0),
        _MEDMNIST_C,
        shift=resolution.downsampling,
    ),
    Family(
        "anisotropic",
        "resolution",
        "a reformatted volume of thick slices",
        "factor, one axis",
        1.0,
        (1.5, 2.0, 2.5, 3.25, 4.0),
        _TORCHIO,
        shift=resolution.anisotropic,
    ),
    Family(
        "blur",
        "resolution",
        "a smoothing filter, or a little motion",
        "σ in pixels",
        0.0,
        (0.5, 0.75, 1.0, 1.5, 2.0),
        _MEDMNIST_C,
        shift=resolution.blur,
    ),
    Family(
        "sharpening",
        "resolution",
        "a sharpening filter of the scanner or viewer",
        "weight of the unsharp mask, σ = 1 pixel",
        0.0,
        (0.4, 0.8, 1.3, 2.0, 3.0),
        "unsharp masking",
        shift=resolution.sharpening,
    ),
    Family(
        "interpolation",
        "resolution",
        "resampling with nearest neighbours instead of bilinear",
        "factor, both axes",
        1.0,
        (1.1, 1.25, 1.5, 2.0, 3.0),
        _IMAGENET_C,
        shift=resolution.interpolation,
    ),
    Family(
        "rotation",
        "geometry",
        "a tilted head",
        "degrees, either way",
        0.0,
        (5.0, 10.0, 20.0, 30.0, 45.0),
        "Pillow's affine transform",
        matrices=geometry.rotation,
    ),
    Family(
        "shift",
        "geometry",
        "a head off the centre",
        "share of the side, any direction",
        0.0,
        (0.02, 0.05, 0.08, 0.12, 0.16),
        "Pillow's affine transform",
        matrices=geometry.shift,
    ),
    Family(
        "zoom",
        "geometry",
        "another field of view, larger or smaller",
        "factor, or its reciprocal",
        1.0,
        (1.08, 1.16, 1.25, 1.4, 1.6),
        _MEDMNIST_C,
        matrices=geometry.zoom,
    ),
    Family(
        "crop",
        "geometry",
        "a cut-out, enlarged to the frame",
        "share of the side that is cut off",
        0.0,
        (0.05, 0.1, 0.15, 0.22, 0.3),
        "Szegedy et al. 2015",
        matrices=geometry.crop,
    ),
    Family(
        "aspect",
        "geometry",
        "a file stretched to a square, wider or taller",
        "ratio of width to height, or its reciprocal",
        1.0,
        (1.06, 1.12, 1.2, 1.3, 1.45),
        "Szegedy et al. 2015",
        matrices=geometry.aspect,
    ),
    Family(
        "flip",
        "geometry",
        "another orientation: mirrored left-right, upside down, or both",
        "share of the images that are flipped",
        0.0,
        (0.2, 0.4, 0.6, 0.8, 1.0),
        "Pillow's affine transform",
        matrices=geometry.flip,
    ),
    Family(
        "rician_noise",
        "artefacts",
        "a lower field strength or a faster scan",
        "σ, of the full range",
        0.0,
        (0.01, 0.02, 0.035, 0.06, 0.09),
        "Gudbjartsson & Patz 1995",
        shift=artefacts.rician_noise,
    ),
    Family(
        "bias_field",
        "artefacts",
        "uneven sensitivity of the receive coil",
        "largest logarithm of the field",
        0.0,
        (0.15, 0.3, 0.5, 0.75, 1.0),
        f"Van Leemput et al. 1999; {_TORCHIO}",
        shift=artefacts.bias_field,
    ),
    Family(
        "ghosting",
        "artefacts",
        "copies along the phase direction, from motion",
        "weight of the ghosts",
        0.0,
        (0.04, 0.08, 0.13, 0.2, 0.3),
        _TORCHIO,
        shift=artefacts.ghosting,
    ),
    Family(
        "ringing",
        "artefacts",
        "k-space cut off: ripples along edges",
        "share of k-space that is kept, both axes",
        1.0,
        (0.7, 0.55, 0.45, 0.35, 0.27),
        "Morelli et al. 2011",
        shift=artefacts.ringing,
    ),
    Family(
        "spikes",
        "artefacts",
        "one wrong point of k-space: stripes",
        "amplitude, of the full range",
        0.0,
        (0.015, 0.03, 0.05, 0.075, 0.11),
        _TORCHIO,
        shift=artefacts.spikes,
    ),
    Family(
        "jpeg",
        "artefacts",
        "lossy compression on export",
        "quality",
        100.0,
        (70.0, 50.0, 30.0, 18.0, 10.0),
        f"ITU-T T.81; {_MEDMNIST_C}",
        shift=jpeg,
    ),
    Family(
        "missing_border",
        "artefacts",
        "a side that was not exported",
        "share of the side that is black",
        0.0,
        (0.06, 0.12, 0.18, 0.24, 0.3),
        "ours",
        shift=artefacts.missing_border,
    ),
)

FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}
"""All families by name, in the order of reports."""
