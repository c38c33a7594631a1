"""The content of `stress.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fakd_jax.evaluation.provenance import describe_provenance
from fakd_jax.evaluation.setup import Setup
from fakd_jax.metrics.resampling import RESAMPLES, SEED
from fakd_jax.shifts.families import Family
from fakd_jax.stress.examples import typical_image
from fakd_jax.stress.measure import Measured
from fakd_jax.stress.summary import compare, summarise

FORMAT_VERSION = 1


def make_report(
    setups: Sequence[Setup],
    networks: Sequence[Measured],
    families: Mapping[str, Family],
    *,
    seed: int,
) -> dict[str, Any]:
    """Measures and summarises a network and, if there is a second, compares it with that.

    Args:
      setups: of the networks.
      networks: under the same conditions.
      families: of the conditions, by name.
      seed: of all random choices.
    """
    described = [
        describe_network(network)
        | {
            "provenance": describe_provenance(
                setup.predictor, setup.dataset, setup.split, setup.images, setup.workdir
            )
        }
        for setup, network in zip(setups, networks, strict=True)
    ]
    this, clean = networks[0], networks[0].stressed.collected.predictions
    typical = typical_image(this)
    return {
        "format_version": FORMAT_VERSION,
        "seed": seed,
        **describe_conditions(this, families),
        **described[0],
        "other": described[1] if len(described) > 1 else None,
        "comparison": compare(*networks) if len(networks) > 1 else None,
        "example": {
            "id": clean.ids[typical],
            "label": this.stressed.collected.class_names[int(clean.labels[typical])],
        },
    }


def describe_network(network: Measured) -> dict[str, Any]:
    """A network's metrics, what it chose on validation images, and caveats."""
    rows = network.rows()
    return {
        "temperature": network.temperature,
        "threshold": network.threshold,
        "summary": summarise(network, rows),
        "conditions": rows,
        "notes": list(network.stressed.collected.notes),
    }


def describe_conditions(network: Measured, families: Mapping[str, Family]) -> dict[str, Any]:
    """What all networks have in common: images, shifts, resamples."""
    collected = network.stressed.collected
    unit = "group" if collected.given_groups else "duplicate group"
    severities = {condition.severity for condition in network.stressed.predictions}
    return {
        "n": len(collected.predictions.ids),
        "class_names": list(collected.class_names),
        "negative_class": collected.negative_class,
        "severities": sorted(severities - {0}),
        "families": {
            name: {
                "group": family.group,
                "description": family.description,
                "parameter": family.parameter,
                "amounts": list(family.severities),
            }
            for name, family in families.items()
        },
        "bootstrap": {
            "resamples": RESAMPLES,
            "seed": SEED,
            "unit": unit if network.grouped else "image",
            "units": int(network.units.max()) + 1,
        },
    }
