"""The door to the audit: `python -m fakd_jax.audit --data SOURCE --output DIR`."""

from __future__ import annotations

from pathlib import Path

from fakd_jax.cli.runner import CommandParser, run_command, use_compilation_cache


def make_parser() -> CommandParser:
    """The flags of `python -m fakd_jax.audit`."""
    parser = CommandParser(
        prog="fakd audit",
        description="Looks for what makes a data set's figures too good: copies across its splits, "
        "conflicting labels, shortcuts to its classes. Writes audit.json, groups.csv, "
        "report.html and contact sheets.",
    )
    parser.add_argument(
        "--data", required=True, help="kaggle, phantom, a folder or an archive, as in training"
    )
    parser.add_argument("--output", default="audit", help="folder of the report (default: audit/)")
    parser.add_argument("--cache-dir", help="where prepared data is kept (default: as in training)")
    return parser


def main(argv: list[str]) -> None:
    """Audits as the flags say and prints the findings."""
    flags = make_parser().parse_args(argv)
    use_compilation_cache()
    from fakd_jax.audit.report.tables import summary_text
    from fakd_jax.audit.run import run_audit
    from fakd_jax.data.sources import open_dataset

    # Unusable files are a finding here, no reason to stop.
    dataset = open_dataset(flags.data, cache_dir=flags.cache_dir, unreadable="skip")
    output = Path(flags.output)
    findings = run_audit(dataset, output, cache_dir=flags.cache_dir)
    print(f"\n{summary_text(findings)}\nreport: {output / 'report.html'}")


if __name__ == "__main__":
    run_command(main)
