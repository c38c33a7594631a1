"""Measures recall and precision of the search for duplicates, on constructed copies.

    python scripts/measure_copies.py --data DIR|ARCHIVE|kaggle|phantom --output DIR

Draws images without duplicates, makes an altered copy of each, and searches originals and copies
together as `fakd_jax.audit` does, for each kind of alteration.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from copies.alterations import KINDS
from copies.measuring import draw_different, search, summarise

from fakd_jax.audit.matching.appearance import read_thumbnails
from fakd_jax.audit.record import audit_duplicates
from fakd_jax.cli.runner import CommandParser, integer, run_command, use_compilation_cache
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.sources import open_dataset
from fakd_jax.runtime.atomic_files import require_writable, write_whole
from fakd_jax.runtime.cache import data_cache_folder

FILE = "copies.json"


def main(argv: list[str]) -> None:
    parser = CommandParser(prog="measure_copies.py", description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="DIR, ARCHIVE, kaggle or phantom")
    parser.add_argument(
        "--images", type=integer(2), default=300, help="number of images to copy [300]"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the choice of images and the noise [0]"
    )
    parser.add_argument(
        "--search",
        choices=("exact", "approximate"),
        default="exact",
        help="compare all pairs, or neighbours alone as among more than 10,000 images [exact]",
    )
    parser.add_argument(
        "--among",
        type=integer(0),
        default=0,
        help="number of further images of the data that are searched with them [0]",
    )
    parser.add_argument("--output", type=Path, help=f"folder for {FILE}")
    flags = parser.parse_args(argv)
    if flags.output:
        require_writable(flags.output)
    use_compilation_cache()
    dataset = open_dataset(flags.data)
    drawn = draw_different(dataset, groups_of(dataset), flags.images + flags.among, flags.seed)
    originals, known = drawn.first(flags.images), read_thumbnails(drawn)
    scratch = data_cache_folder() if flags.search == "approximate" else None
    found = []
    for kind in KINDS:
        start = time.monotonic()
        found.append(search(originals, known, kind, flags.seed, scratch))
        print(f"searched: {kind.name}, {time.monotonic() - start:.0f} s", flush=True)
    record = {
        "source": dataset.source,
        "fingerprint": dataset.fingerprint,
        "seed": flags.seed,
        "search": flags.search,
        "among": flags.among,
        **summarise(found, flags.images),
    }
    print(table(record))
    if flags.output:
        write_whole(flags.output / FILE, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def groups_of(dataset: ImageDataset) -> dict[str, int]:
    """The group of duplicates of every image, by an audit; phantoms are all different."""
    if dataset.source == "phantom":
        return {example.id: number for number, example in enumerate(dataset.examples)}
    return audit_duplicates(dataset).groups


def table(record: Mapping[str, Any]) -> str:
    """The result as Markdown, with its limits."""
    lines = [
        f"{record['images']} images of {record['source']}, one copy of each and kind, "
        f"seed {record['seed']}, {record['search']} search among {record['among']} more images",
        "",
        "| kind of copy | used in tuning | found | recall | 95 % interval | wrong pairs |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in record["kinds"]:
        name = row["name"] + (f" ({row['remark']})" if row["remark"] else "")
        low, high = row["ci95"]
        lines.append(
            f"| {name} | {'yes' if row['tuned'] else 'no'} | {row['count']} of {row['n']} "
            f"| {row['share']:.1%} | {low:.1%} to {high:.1%} | {row['wrong']} |"
        )
    return "\n".join([*lines, "", *_precision(record)])


def _precision(record: Mapping[str, Any]) -> list[str]:
    precision = record["precision"]
    lines = [
        f"Different pairs taken for duplicates: {precision['wrong']:,} of "
        f"{precision['different']:,} compared, {precision['wrong_originals']:,} of them pairs of "
        "originals."
    ]
    if precision["n"]:
        low, high = precision["ci95"]
        lines.append(
            f"Precision: {precision['count']:,} of {precision['n']:,} pairs taken for duplicates "
            f"are, {precision['share']:.2%} ({low:.2%} to {high:.2%}), with one constructed copy "
            "of each image; among real images it depends on how many are duplicates."
        )
    if record["source"] != "phantom":
        lines.append(
            "The originals were chosen by the same search: wrong pairs of originals cannot be "
            "detected here, and errors of the search within the data are not counted."
        )
    return lines


if __name__ == "__main__":
    run_command(main)
