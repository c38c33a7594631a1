"""Libraries that only an extra installs."""

from __future__ import annotations

import importlib
from types import ModuleType

from fakd_jax.errors import UserError


def import_extra(module: str, extra: str, purpose: str) -> ModuleType:
    """Imports a module that the package's extra installs, for a purpose like "reading .pth files".

    Raises:
      UserError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"{purpose} needs {module.partition('.')[0]}: pip install 'fakd_jax[{extra}]'"
        ) from error
