"""Measures how preparation and audit grow with the number of images, on phantoms.

    python scripts/growth/audit.py --output DIR [--images 1000 10000 100000]

Draws that many phantoms, a hundredth of them altered copies of others, prepares and audits them,
and prints the processor seconds, which do not depend on what else runs, the seconds of the clock,
the peak memory, and how many of the copies were found. Adds its rows to `growth.json` and draws
`growth.png`, see `scripts/growth/plot.py`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from growth.measuring import in_own_process, timed
from growth.pictures import copy_id, original_id, write_pictures
from growth.plot import keep_rows

from fakd_jax.cli.runner import CommandParser, integer, run_command, use_compilation_cache
from fakd_jax.errors import UserError
from fakd_jax.runtime.atomic_files import require_writable

IMAGES_PER_COPY = 100


def main(argv: list[str]) -> None:
    parser = CommandParser(prog="growth/audit.py", description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="folder; pictures go there too")
    parser.add_argument(
        "--images", type=integer(200), nargs="+", default=[1_000, 10_000, 100_000], help="numbers"
    )
    flags = parser.parse_args(argv)
    require_writable(flags.output)
    for images in flags.images:
        require_no_audit(_cache(flags.output, images))
    for images in flags.images:
        rows = in_own_process(measure, flags.output, images)
        for row in rows:
            print(row, flush=True)
        keep_rows(flags.output, rows)


def measure(output: Path, images: int) -> list[dict[str, Any]]:
    """Draws, prepares and audits pictures; the rows for `growth.json`."""
    from fakd_jax.audit.record import find_audit
    from fakd_jax.audit.run import run_audit
    from fakd_jax.data.sources import open_dataset

    use_compilation_cache()
    copies = images // IMAGES_PER_COPY
    pictures, cache = output / f"pictures-{images}", _cache(output, images)
    if not pictures.is_dir():
        start = time.monotonic()
        write_pictures(pictures, images, copies)
        print(f"drew {images:,} pictures in {time.monotonic() - start:.0f} s", flush=True)
    start = time.monotonic()

    def log(line: str) -> None:
        print(f"{time.monotonic() - start:7.1f} s  {line}", flush=True)

    dataset, prepared = timed(open_dataset, str(pictures), cache_dir=cache, log=log)
    prepared |= {"what": "preparation", "n": images}
    _, audited = timed(run_audit, dataset, output / f"audit-{images}", cache_dir=cache, log=log)
    audit = find_audit(dataset, cache)
    assert audit is not None
    together = [
        audit.groups[original_id(number)] == audit.groups[copy_id(number)]
        for number in range(copies)
    ]
    grouped = sum(len(ids) - 1 for ids in audit.members().values())
    audited |= {
        "what": "audit",
        "n": images,
        "method": audit.method,
        "copies": copies,
        "found": sum(together),
        "wrong": grouped - sum(together),
    }
    return [prepared, audited]


def require_no_audit(cache: Path) -> None:
    """Refuses a cache in which nothing would be left to measure.

    Raises:
      UserError: it holds an audit.
    """
    if any((cache / "audits").glob("*.json")):
        raise UserError(f"{cache} holds an audit already; delete the folder")


def _cache(output: Path, images: int) -> Path:
    return output / f"cache-{images}"


if __name__ == "__main__":
    run_command(main)
