"""Does the explanation depend on what the network has learnt? The model randomisation test.

Adebayo et al. (2018, "Sanity checks for saliency maps"): the same image and class are explained for
networks whose weights are drawn anew. A method whose picture stays describes the image, not the
network, as an edge detector would.

Rankings of superpixels are compared twice, as they do: with their signs, and of absolute values. An
explanation whose signs alone flip is the same picture in other colours, and only the second sees
it; one whose signs follow the image while its magnitudes do not, only the first. The larger counts.
Not the larger in magnitude: a ranking turned upside down points elsewhere, and chance, which is as
often below 0 as above, would always count as likeness.

A similarity of 0.4 is much for a method that agrees with itself to 0.5 from seed to seed, so each
is divided by the same correlation between seeds: Spearman's correction for attenuation (1904),
as far as explanations of networks drawn anew are as noisy as the network's own.
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
"""At or below this mean rank correlation between seeds, four fifths or more of a run are its seed's
doing, and there is too little left that could depend on the network."""

DEPENDENT = 0.5
"""At least half of what is reproducible must go with the weights: less, and the picture shows the
image more than the network."""

LEAST_UNITS = 10
"""Of fewer images, or groups of copies, there is neither interval nor verdict: it would be too
narrow (:mod:`fakd_jax.explanation.benchmark.estimates` has the same bound, with figures)."""


@dataclass(frozen=True)
class Randomisation:
    """How alike one image's explanations are, of the network and of networks drawn anew.

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
        """The larger of the two, which counts."""
        return max(self.signed, self.absolute)

    @property
    def dependence(self) -> float | None:
        """This image's dependence, at most 1; None where nothing is reproducible.

        To look at, not to judge a method by: two unrelated maps of few superpixels correlate by
        chance, up or down, and what falls below 0 is cut off here, so that a mean of these is
        too low. :func:`sanity_of` takes means first.
        """
        if not _reproducible([self]):
            return None
        return float(dependence_of_means([self], np.ones((1, 1)))[0])


@dataclass(frozen=True)
class Sanity:
    """What many images say of a method.

    Attributes:
      dependence: the share of what is reproducible that goes with the network's weights, at most
        1; None without images, or where nothing is reproducible.
      ci95: its bootstrap interval over images; None where it has none, and of fewer units than
        :data:`LEAST_UNITS`.
      n: the number of images.
      passes: whether the interval lies at or above :data:`DEPENDENT`; None of fewer than
        :data:`LEAST_UNITS`.
    """

    dependence: float | None
    ci95: list[float] | None
    n: int
    passes: bool | None


def randomisation_of(
    trained: Float[np.ndarray, "N S"], randomised: Float[np.ndarray, "M S"]
) -> Randomisation:
    """Compares explanations of one image and class.

    An explanation that ranks nothing correlates with none, itself included: what is never said is
    not reproducible, and cannot depend on anything.

    Args:
      trained: superpixel weights of N >= 2 runs on the network, with different seeds; negligible
        ones count as 0. A method that draws nothing gives equal rows.
      randomised: of M >= 1 networks drawn anew, with other seeds of the method too: what both
        draw alike looks like likeness of the networks. Their weights are taken as they are,
        however small, for such a network may answer on another scale.

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

    Dependence is 1 - max(0, mean similarity) / mean stability, of means over images. What two
    maps have in common by chance cancels in the mean, so that it neither helps nor harms; a mean of
    the images' own dependences would count it whenever it is positive, most where stability is
    least. What is left, the larger of two means near 0 being above it, goes as 1/√n and makes
    the test stricter.

    Args:
      images: one each.
      units: the unit of each image in the bootstrap: `arange(N)`, or groups of copies.
      seed: of the bootstrap.
    """
    n, enough = len(images), len(np.unique(units)) >= LEAST_UNITS
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
    magnitudes, a mere flip of signs cannot be told from another picture); where neither is, there
    is nothing that goes with the weights: 0.
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
    """Whether anything is reproducible, in the mean over images."""
    stability = np.mean([(i.stability_signed, i.stability_absolute) for i in images], axis=0)
    return bool((stability > REPRODUCIBLE).any())
