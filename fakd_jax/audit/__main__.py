"""Audits a data set: `fakd audit --data SOURCE --output DIR`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from fakd_jax.cli.checkpoint_flags import CLASS_MAP, DATA
from fakd_jax.cli.engine_flags import add_engine_flags, ray_address
from fakd_jax.cli.pixel_flags import add_pixel_flags
from fakd_jax.cli.runner import CommandParser, run_command, use_compilation_cache
from fakd_jax.runtime.mapping import HERE, Mapper
from fakd_jax.runtime.ray_mapping import RayMapper


def make_parser() -> CommandParser:
    """The flags of the command."""
    parser = CommandParser(
        prog="fakd audit",
        description="Finds duplicates across splits, conflicting labels and shortcuts to the "
        "classes. Writes audit.json, groups.csv, report.html and contact sheets.",
    )
    parser.add_argument("--data", required=True, help=DATA)
    parser.add_argument("--class-map", default="", metavar="NAME=CLASS,...", help=CLASS_MAP)
    parser.add_argument("--output", default="audit", help="folder of the report (default: audit/)")
    parser.add_argument("--cache-dir", help="where prepared data is kept (default: as in training)")
    add_pixel_flags(parser)
    add_engine_flags(parser, "in this process")
    return parser


def main(argv: list[str]) -> None:
    """Audits the data and prints the findings."""
    flags = make_parser().parse_args(argv)
    with _mapper(ray_address(flags)) as mapper:
        use_compilation_cache()
        from fakd_jax.audit.run import REPORT_FILE, run_audit
        from fakd_jax.audit.text import summary_text
        from fakd_jax.data.pixels.window import PixelRules
        from fakd_jax.data.sources import open_dataset

        rules = PixelRules.parse(flags.window, flags.slice_axis)
        # Unreadable files are a finding here, not an error.
        dataset = open_dataset(
            flags.data,
            cache_dir=flags.cache_dir,
            unreadable="skip",
            rules=rules,
            class_map=flags.class_map,
        )
        output = Path(flags.output)
        findings = run_audit(dataset, output, cache_dir=flags.cache_dir, mapper=mapper)
    print(f"\n{summary_text(findings)}\nreport: {output / REPORT_FILE}")


def _mapper(address: str | None) -> AbstractContextManager[Mapper]:
    """This process, or Ray at an address, which starts its processes before JAX has threads."""
    if address is None:
        return nullcontext(HERE)
    return RayMapper(address, "fakd audit --engine ray", use_compilation_cache)


if __name__ == "__main__":
    run_command(main)
