"""Creates `tests/goldens/*.npz`: results of PyTorch and torchvision, for tests without them.

    pip install torch torchvision
    python scripts/make_goldens.py            # all; see goldens/distillation.py for what it needs
    python scripts/make_goldens.py networks   # some

Every module of `scripts/goldens` but `common` writes the file of its name.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
WRITERS = sorted(path.stem for path in (SCRIPTS / "goldens").glob("*.py") if path.stem != "common")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help=f"goldens to create, of {', '.join(WRITERS)}")
    parser.add_argument("--output", type=Path, default=SCRIPTS.parent / "tests" / "goldens")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(WRITERS))
    if unknown:
        parser.error(f"no goldens named {', '.join(unknown)}; choose from {', '.join(WRITERS)}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or WRITERS:
        output = arguments.output / f"{name}.npz"
        importlib.import_module(f"goldens.{name}").write(output)
        print(f"{output}: {output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
