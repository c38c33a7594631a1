"""Libraries that only an extra installs."""

from __future__ import annotations

import importlib
from types import ModuleType

from fakd_jax.errors import UserError


def import_extra(module: str, extra: str, purpose: str) -> ModuleType:
    """Imports a library that the package's extra `extra` installs.

    Args:
      module: the dotted name of the module.
      extra: the extra's name.
      purpose: what needs the library, for the message: "reading .pth files".

    Raises:
      UserError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"{purpose} needs {module.partition('.')[0]}: pip install 'fakd_jax[{extra}]'"
        ) from error
