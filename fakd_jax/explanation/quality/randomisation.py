"""The model randomisation test: does the explanation depend on what the network has learnt?

Adebayo et al. (2018, "Sanity checks for saliency maps"): the same image and class are explained for
networks re-initialised at random. A method whose explanation stays the same describes the image,
not the network, as an edge detector would.

Rankings of superpixels are compared with their signs and by absolute value, as in the paper. If
only signs flip, the explanation is the same in other colours, which the second detects; if signs
follow the image but magnitudes do not, the first does. The larger correlation counts. Not the
larger magnitude: a reversed ranking points elsewhere, and chance, as often below 0 as above, would
always count as similarity.

A similarity of 0.4 is much for a method that agrees with itself to 0.5 from seed to seed, so each
is divided by the same correlation between seeds: Spearman's correction for attenuation (1904),
assuming that explanations of re-initialised networks are as noisy as the network's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
from jaxtyping import Float, Int

from fakd_jax.explanation.quality.ranks import mean_over_pairs, rank_correlations
from fakd_jax.explanation.quality.stability import without_negligible
from fakd_jax.metrics.resampling import SEED, bootstrap

REPRODUCIBLE = 0.2
"""At or below this mean rank correlation between seeds, at least four fifths of a run depend on its
seed, which leaves too little that could depend on the network."""

DEPENDENT = 0.5
"""At least half of what is reproducible must depend on the weights."""

MIN_UNITS = 10
"""With fewer images, or duplicate groups, there is neither an interval nor a verdict: the 95 %
bootstrap interval of 5 images misses the mean in one sample of 6, of 10 in 10, of 30 in 14."""


@dataclass(frozen=True)
class Randomisation:
    """How similar one image's explanations are for the network and for re-initialised ones.

    All are mean rank correlations, in [-1, 1].

    Attributes:
      signed: between the two, of the weights.
      absolute: between the two, of their absolute values.
      stability_signed: between seeds of the method on the network itself, of the weights.
      stability_absolute: likewise, of their absolute values.
    """

    signed: float
    absolute: float
    stability_signed: float
    stability_absolute: float

    @property
    def similarity(self) -> float:
        """The larger of the two."""
        return max(self.signed, self.absolute)

    @property
    def dependence(self) -> float | None:
        """This image's dependence, at most 1; None where nothing is reproducible.

        Not to judge a method by: unrelated maps of few superpixels correlate by chance, and what
        falls below 0 is clipped here, so that a mean of these is too low. :func:`sanity_of` takes
        means first.
        """
        if not _reproducible([self]):
            return None
        return float(dependence_of_means([self], np.ones((1, 1)))[0])


@dataclass(frozen=True)
class Sanity:
    """The verdict on a method over many images.

    Attributes:
      dependence: the fraction of what is reproducible that depends on the network's weights, at
        most 1; None without images, or where nothing is reproducible.
      ci95: its bootstrap interval over images; None where it has none, and for fewer than
        :data:`MIN_UNITS` units.
      n: number of images.
      passes: whether the interval lies at or above :data:`DEPENDENT`; None for fewer than
        :data:`MIN_UNITS` units.
    """

    dependence: float | None
    ci95: list[float] | None
    n: int
    passes: bool | None


def randomisation_of(
    trained: Float[np.ndarray, "N S"], randomised: Float[np.ndarray, "M S"]
) -> Randomisation:
    """Compares explanations of one image and class.

    A degenerate explanation correlates with none, itself included: it is not reproducible, and
    cannot depend on anything.

    Args:
      trained: superpixel weights of N >= 2 runs on the network, with different seeds; negligible
        ones count as 0. A method that draws nothing gives equal rows.
      randomised: of M >= 1 re-initialised networks, with other seeds of the method too, as equal
        draws would look like similarity of the networks. Small weights count, as such a network's
        outputs may have another scale.

    Raises:
      ValueError: too few rows, other superpixels, or weights that are not finite.
    """
    own = without_negligible(trained)
    return Randomisation(
        signed=float(rank_correlations(own, randomised).mean()),
        absolute=float(rank_correlations(np.abs(own), np.abs(randomised)).mean()),
        stability_signed=mean_over_pairs(rank_correlations(own, own)),
        stability_absolute=mean_over_pairs(rank_correlations(np.abs(own), np.abs(own))),
    )


def sanity_of(
    images: Sequence[Randomisation], units: Int[np.ndarray, " N"], *, seed: int = SEED
) -> Sanity:
    """The verdict over images.

    Dependence is 1 - max(0, mean similarity) / mean stability, of means over images, in which
    chance correlations cancel; a mean of the images' own dependences would count them whenever
    they are positive. The bias that remains, as the larger of two means is taken, falls as 1/√n
    and makes the test stricter.

    Args:
      images: one per image.
      units: the bootstrap unit of each image: `arange(N)`, or groups of duplicates.
      seed: of the bootstrap.
    """
    n, enough = len(images), len(np.unique(units)) >= MIN_UNITS
    if not n or not _reproducible(images):
        return Sanity(None, None, n, False if enough else None)

    def statistics(weights: Float[np.ndarray, "R N"]) -> Mapping[str, Float[np.ndarray, " R"]]:
        return {"dependence": dependence_of_means(images, weights)}

    dependence = float(dependence_of_means(images, np.ones((1, n)))[0])
    if not enough:
        return Sanity(dependence, None, n, None)
    ci95 = bootstrap(statistics, units, seed=seed)["dependence"]
    low = ci95[0] if ci95 else dependence  # without an interval, all resamples agree
    return Sanity(dependence, ci95, n, low >= DEPENDENT)


def dependence_of_means(
    images: Sequence[Randomisation], weights: Float[np.ndarray, "R N"]
) -> Float[np.ndarray, " R"]:
    """The dependence of weighted images, for the bootstrap.

    A reading, signed or absolute, that is not reproducible is left out (without reproducible
    magnitudes, flipped signs look like another explanation); 0 if neither is.
    """
    values = np.array([astuple(image) for image in images])
    means = weights @ values / weights.sum(axis=1, keepdims=True)
    similarity, stability = means[:, :2], means[:, 2:]
    kept = np.divide(
        np.maximum(similarity, 0),
        stability,
        out=np.full(similarity.shape, -np.inf),
        where=stability > REPRODUCIBLE,
    ).max(axis=1)
    return np.where(np.isneginf(kept), 0.0, 1 - kept)


def _reproducible(images: Sequence[Randomisation]) -> bool:
    """Whether either reading is reproducible, in the mean over images."""
    stability = np.mean([(i.stability_signed, i.stability_absolute) for i in images], axis=0)
    return bool((stability > REPRODUCIBLE).any())
