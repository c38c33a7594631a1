"""The conditions of a stress test: families of shifts by severity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fakd_jax.errors import UserError
from fakd_jax.shifts.families import Family

SEVERITIES = (1, 2, 3, 4, 5)
CLEAN = "clean"


@dataclass(frozen=True)
class Condition:
    """Images as they are, or under one family of shifts at one severity.

    Attributes:
      family: its name; `CLEAN` for images as they are.
      severity: 1 to 5; 0 for images as they are.
      group: of families; "" for images as they are.
      amount: of the family's parameter; 0 for images as they are.
    """

    family: str = CLEAN
    severity: int = 0
    group: str = ""
    amount: float = 0.0

    @property
    def name(self) -> str:
        """The family and the severity: `gamma-3`."""
        return f"{self.family}-{self.severity}" if self.severity else self.family

    def record(self) -> dict[str, Any]:
        """The condition as JSON-able values."""
        return {
            "family": self.family,
            "group": self.group,
            "severity": self.severity,
            "amount": self.amount if self.severity else None,
        }


def choose_families(families: Mapping[str, Family], names: Sequence[str]) -> dict[str, Family]:
    """The named families, in the order of all; all if no names are given.

    Raises:
      UserError: an unknown name.
    """
    if unknown := [name for name in names if name not in families]:
        raise UserError(
            f"unknown families of shifts: {', '.join(unknown)}; known: {', '.join(families)}"
        )
    return {name: family for name, family in families.items() if not names or name in names}


def make_conditions(families: Mapping[str, Family], severities: Sequence[int]) -> list[Condition]:
    """Images as they are, then every family at every severity, the mildest first.

    Raises:
      UserError: no severity, or one that is not in 1 to 5.
    """
    if not severities or not set(severities) <= set(SEVERITIES):
        given = ", ".join(map(str, severities)) or "none"
        raise UserError(f"severities are {given}; choose some of 1, 2, 3, 4, 5")
    return [
        Condition(),
        *(
            Condition(name, severity, family.group, family.severities[severity - 1])
            for name, family in families.items()
            for severity in sorted(set(severities))
        ),
    ]
