"""`--import MODULE`: code of one's own that a command runs first, as to register networks."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from fakd_jax.errors import UserError


def import_modules(names: Sequence[str], folder: str | None = None) -> None:
    """Imports modules, found in a folder or wherever Python finds modules.

    Args:
      names: dotted names.
      folder: None for the working directory.

    Raises:
      UserError: one cannot be imported.
    """
    if names and (place := folder or os.getcwd()) not in sys.path:
        sys.path.append(place)  # last, so that its files hide no package
    for name in names:
        try:
            importlib.import_module(name)
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            raise UserError(
                f"--import {name} fails ({type(error).__name__}: {' '.join(str(error).split())}); "
                "give the name of a module in the working directory or of an installed package, "
                "without .py"
            ) from error
