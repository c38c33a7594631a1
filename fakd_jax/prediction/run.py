"""Predicting files: list, read, compute, write; interrupted and gone on with at any moment."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from fakd_jax.data.pixels.window import PixelRules, parse_window
from fakd_jax.errors import UserError
from fakd_jax.prediction.blocks import (
    ComputeBlocks,
    Recipe,
    blocks_elsewhere,
    blocks_here,
    network_sha256,
)
from fakd_jax.prediction.file_list import FileList, new_file_list
from fakd_jax.prediction.formats import RowFormat, require_suffix, row_format
from fakd_jax.prediction.inputs import InputScanner, PathList, open_path_list
from fakd_jax.prediction.progress import Progress
from fakd_jax.prediction.rows import Tally
from fakd_jax.prediction.runtimes import AUTO, OpenedNetwork, choose_runtime, open_network
from fakd_jax.prediction.unfinished import (
    ARCHIVES_FOLDER,
    FILES_FILE,
    UnfinishedOutput,
    open_unfinished,
)
from fakd_jax.runtime.hub import names_hub
from fakd_jax.runtime.mapping import Mapper
from fakd_jax.version import __version__

Log = Callable[[str], object]


@dataclass(frozen=True)
class Summary:
    """What a prediction came to.

    Attributes:
      output: the file that was written.
      files: number of files.
      tally: counts of its rows.
    """

    output: Path
    files: int
    tally: Tally


def predict_files(
    checkpoint: Path | str,
    inputs: str | Path | Sequence[str | Path],
    output: Path | str,
    *,
    path_list: str | None = None,
    runtime: str = AUTO,
    window: str = "",
    slice_axis: str = "",
    batch_size: int = 32,
    dtype: str | None = None,
    allow_untrained: bool = False,
    overwrite: bool = False,
    restart: bool = False,
    mapper: Mapper | None = None,
    log: Log = print,
) -> Summary:
    """Predicts every image of the files given, and writes a row for each.

    A file that cannot be read is a row with the reason. Memory does not grow with the number of
    files. Interrupted or killed, the same call goes on where it was.

    Args:
      checkpoint: a workdir (its best student), or any checkpoint in it.
      inputs: files, folders, globs and archives, in this order; see
        :mod:`fakd_jax.prediction.inputs`.
      output: a `.csv`, `.jsonl` or `.parquet` file to write.
      path_list: a file with further paths, one per line, or "-" for standard input.
      runtime: what computes the network, one of :data:`fakd_jax.prediction.runtimes.RUNTIMES`, or
        `auto`: ONNX Runtime where there is an exported network.
      window: of grey levels of more than 8 bits, see
        :func:`fakd_jax.data.pixels.window.parse_window`; "" takes the checkpoint's.
      slice_axis: of volumes, one of :data:`fakd_jax.data.pixels.window.SLICE_AXES`; "" takes the
        checkpoint's.
      batch_size: images computed at once.
      dtype: 'float32', 'bfloat16' or 'auto'; None for the training's.
      allow_untrained: accept a network whose head was never trained.
      overwrite: replace an existing output, once the new one is finished.
      restart: begin anew where a prediction by other settings is unfinished.
      mapper: computes groups of files in order, such as
        :class:`fakd_jax.runtime.ray_mapping.RayMapper`; None computes in this process.
      log: called with lines for the user.

    Returns:
      The number of files and of rows.

    Raises:
      UserError: no such checkpoint, no input, an output that exists or cannot be written, or an
        unfinished prediction by other settings.
    """
    output = require_new(Path(output), overwrite)
    given = parse_window(window) if window else None
    runtime = choose_runtime(checkpoint, runtime)
    network = open_network(
        checkpoint,
        runtime=runtime,
        batch_size=batch_size,
        dtype=dtype,
        allow_untrained=allow_untrained,
    )
    rules = network.rules
    if window:
        rules = replace(rules, window=given)
    if slice_axis:
        rules = PixelRules(rules.window, slice_axis)
    network = replace(network, rules=rules)
    compute = None
    if mapper is not None:
        # Each machine pulls a bundle on the Hub itself, and compares it with the one opened here.
        on_hub = names_hub(checkpoint)
        place = str(checkpoint) if on_hub else os.path.abspath(Path(checkpoint).expanduser())
        # What "auto" is here it must be there; the precision of an exported network is its file's.
        computed_in = None if network.identity["runtime"] == "onnx" else network.identity["dtype"]
        recipe = Recipe(
            place,
            runtime,
            batch_size,
            computed_in,
            allow_untrained,
            rules,
            network_sha256(network),
        )
        compute = partial(blocks_elsewhere, recipe, mapper)
    names = [inputs] if isinstance(inputs, str | Path) else inputs
    return predict_with(
        network,
        [os.fspath(name) for name in names],
        output,
        compute=compute,
        path_list=path_list,
        restart=restart,
        log=log,
    )


def require_new(output: Path, overwrite: bool) -> Path:
    """The absolute path of an output.

    Raises:
      UserError: there is one already, unless it may be overwritten, or a folder of that name; or
        it has no suffix of a table.
    """
    output = output.expanduser().absolute()
    if output.is_dir():
        raise UserError(f"--output {output} is a folder; give a file in it, such as rows.csv")
    require_suffix(output)
    if output.exists() and not overwrite:
        raise UserError(f"{output} exists; give another --output, or --overwrite")
    return output


def predict_with(
    network: OpenedNetwork,
    names: Sequence[str],
    output: Path,
    *,
    compute: ComputeBlocks | None = None,
    path_list: str | None = None,
    restart: bool = False,
    log: Log = print,
) -> Summary:
    """Does what :func:`predict_files` does, with a network that is open.

    `compute` is None to compute in this process.
    """
    if not names and path_list is None:
        raise UserError("there is no input; give files, folders, globs or archives, or --list")
    written_as = row_format(output, network.class_names)
    for line in _what_is_unknown(network):
        log(line)
    with open_path_list(path_list) as listed:

        def begin(folder: Path) -> None:
            _list_files(folder, names, listed, log)

        with open_unfinished(
            output,
            _settings(network, names, listed),
            header=written_as.header(),
            begin=begin,
            restart=restart,
        ) as unfinished:
            files = FileList(unfinished.folder / FILES_FILE)
            rate = _predict_rest(
                compute or partial(blocks_here, network),
                files,
                unfinished,
                written_as,
                network.foreign_threshold,
                log,
            )
            unfinished.publish(written_as.finish)
    summary = Summary(output, len(files), unfinished.position.tally)
    log(f"wrote {_describe(summary, network)}, {rate}")
    return summary


def _settings(
    network: OpenedNetwork, names: Sequence[str], listed: PathList | None
) -> dict[str, Any]:
    """What the rows depend on, as JSON-able values."""
    return {
        "network": dict(network.identity),
        "rules": network.rules.to_dict(),
        "decision": network.decision and network.decision.to_dict(),
        "foreign_threshold": network.foreign_threshold,
        "inputs": list(names),
        "list_sha256": listed and listed.sha256,
        "working_folder": os.getcwd(),
        "package_version": __version__,
    }


def _list_files(folder: Path, names: Sequence[str], listed: PathList | None, log: Log) -> None:
    """Finds the files and writes their list into the folder of an unfinished output."""
    with new_file_list(folder / FILES_FILE) as new:
        scanner = InputScanner(new, folder / ARCHIVES_FOLDER)
        for name in names:
            scanner.add_argument(name)
        for path in listed.paths if listed else ():
            scanner.add_path(path)
    found = len(FileList(folder / FILES_FILE))
    others = scanner.passed_over
    passed = (
        f"; passed over {others:,} others, hidden or no images by their names" if others else ""
    )
    if not found:
        raise UserError(f"there is no image in {', '.join(names) or 'the list'}{passed}")
    log(f"{found:,} files{passed}")


def _what_is_unknown(network: OpenedNetwork) -> list[str]:
    """Lines about columns that stay empty or uncalibrated."""
    decision, lines = network.decision, []
    advice = "(fakd evaluate finds it on the run's validation images)"
    if decision is None or decision.temperature is None:
        lines.append(f"probabilities are not calibrated: no temperature is known {advice}")
    if decision is None or decision.reject_threshold is None:
        lines.append(f"the column abstained stays empty: no reject threshold is known {advice}")
    if network.reference is None:
        lines.append(
            "the columns ood_score and quality stay empty: it is not known what the training "
            "images look like"
        )
    return lines


def _predict_rest(
    compute: ComputeBlocks,
    files: FileList,
    unfinished: UnfinishedOutput,
    written_as: RowFormat,
    foreign_threshold: float | None,
    log: Log,
) -> str:
    """Appends the rows that are not there yet; returns their rate."""
    start = unfinished.start
    if start.tally.rows:
        log(f"{start.tally.rows:,} rows were written before; going on with the files listed then")
    own_window = _Once(
        log,
        "grey levels of more than 8 bits: the checkpoint keeps no window for them, so each such "
        "file is shown by its own (--window gives one for all)",
    )
    blocks = compute(files.after(start.file), start.frame, own_window)
    with Progress(len(files), start.file, start.tally.rows, log) as progress, closing(blocks):
        try:
            for rows, file, frame in blocks:
                tally = unfinished.position.tally.with_rows(rows, foreign_threshold)
                unfinished.append(written_as.encode(rows), file, frame, tally)
                progress.on_rows(file, tally)
        except KeyboardInterrupt:
            kept = unfinished.position.tally.rows
            log(f"{kept:,} rows are kept; run the same command to go on")
            raise
        return progress.rate(unfinished.position.tally)


class _Once:
    """Logs a line the first time it is called."""

    def __init__(self, log: Log, line: str) -> None:
        self._log, self._line = log, line

    def __call__(self) -> None:
        if self._line:
            self._log(self._line)
        self._line = ""


def _describe(summary: Summary, network: OpenedNetwork) -> str:
    tally = summary.tally
    parts = [f"{tally.errors:,} with an error"]
    if network.decision and network.decision.reject_threshold is not None:
        parts.append(f"{tally.abstained:,} abstained")
    if (threshold := network.foreign_threshold) is not None:
        parts.append(f"{tally.foreign:,} unlike the training images (ood_score > {threshold:.4g})")
        parts.append(f"{tally.flagged:,} of doubtful quality")
    return f"{summary.output}: {tally.rows:,} rows of {summary.files:,} files, {', '.join(parts)}"
