"""Whom each method of a study learns from: `config.study.teachers`."""

from __future__ import annotations

from collections.abc import Mapping

from ml_collections import ConfigDict

from fakd_jax.errors import UserError
from fakd_jax.experiment.settings import ExperimentConfig
from fakd_jax.study.lists import require_known

SHARED_DATA_KEYS = ("intensity", "labelled_share")
"""The keys of `data` that a student shares with its teacher, of those that a method may change."""


def teacher_methods(config: ConfigDict) -> tuple[str, ...]:
    """The methods in `config.changes` that train a teacher."""
    return tuple(name for name in config.changes if config.changes[name].get("train") == "teacher")


def teacher_of(config: ConfigDict, method: str) -> str:
    """The method that trains the teacher which a method learns from.

    It is the one in `config.study.teachers`; without an entry, the study's only teacher.

    Returns:
      Its name; "" if no method trains a teacher.

    Raises:
      UserError: there is no entry, and several methods train a teacher.
    """
    if method in (given := _given(config)):
        return str(given[method])
    known = teacher_methods(config)
    used = [name for name in known if name in config.study.methods] or known
    if len(used) > 1:
        raise UserError(
            f"the method {method} learns from a teacher, and {', '.join(used)} train one; choose "
            f"with config.study.teachers.{method}"
        )
    return used[0] if used else ""


def require_known_teachers(config: ConfigDict) -> None:
    """Checks the names in `config.study.teachers`.

    Raises:
      UserError: an entry of an unknown method, or whose teacher no method trains.
    """
    given = _given(config)
    require_known("teachers", tuple(given), tuple(config.changes))
    for method, teacher in given.items():
        require_known(f"teachers.{method}", (teacher,), teacher_methods(config))


def assign_teachers(config: ConfigDict, settings: Mapping[str, ExperimentConfig]) -> dict[str, str]:
    """Every method that learns from a teacher, and the method that trains it.

    Args:
      config: the study's.
      settings: of a cell of each of the study's methods.

    Raises:
      UserError: a teacher is not among the study's methods, or has other values of
        `SHARED_DATA_KEYS` than its student; or a method has an entry in `config.study.teachers`
        without learning from a teacher.
    """
    assigned = {
        method: teacher_of(config, method)
        for method, made in settings.items()
        if made.needs_teacher
    }
    for method in settings:
        if method in _given(config) and method not in assigned:
            raise UserError(
                f"config.study.teachers.{method} has no effect: the method {method} learns from no "
                "teacher; remove it"
            )
    for method, teacher in assigned.items():
        if teacher not in settings:
            raise UserError(
                f"the method {method} learns from a teacher; add the method that trains it, "
                f"{teacher or 'configs/teacher.py'}, to config.study.methods"
            )
        for key in SHARED_DATA_KEYS:
            own, teachers = (getattr(settings[name].data, key) for name in (method, teacher))
            if own != teachers:
                raise UserError(
                    f"the method {method} has data.{key}={own} and its teacher {teacher} "
                    f"{teachers}, but both get the same images and labels; give them the same in "
                    f"config.changes, or another teacher in config.study.teachers.{method}"
                )
    return assigned


def _given(config: ConfigDict) -> Mapping[str, str]:
    given: Mapping[str, str] = config.study.get("teachers", {})  # older configs lack it
    return given
