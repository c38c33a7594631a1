"""Predicts files into a table: `fakd predict --checkpoint DIR INPUT... --output FILE`.

fakd predict --checkpoint DIR scans/ more/*.dcm volume.nii.gz archive.zip --output predictions.csv
find /archive -name '*.dcm' | fakd predict --checkpoint DIR --list - --output predictions.parquet
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from fakd_jax.cli.checkpoint_flags import CHECKPOINT
from fakd_jax.cli.engine_flags import add_engine_flags, ray_address, worker_preparation
from fakd_jax.cli.runner import (
    CallableModule,
    CommandParser,
    integer,
    run_command,
    use_compilation_cache,
)
from fakd_jax.data.pixels.window import SLICE_AXES
from fakd_jax.prediction.runtimes import AUTO, RUNTIMES, choose_runtime
from fakd_jax.runtime.distributed import refuse_several_processes
from fakd_jax.runtime.mapping import Mapper
from fakd_jax.runtime.ray_mapping import RayMapper

FUNCTION = "fakd_jax.prediction.run:predict_files"


def make_parser() -> CommandParser:
    """The flags of `fakd predict`."""
    parser = CommandParser(
        prog="fakd predict",
        description="Predicts every image of files, folders, globs and archives, DICOM, NIfTI and "
        "files of several images included, and writes a row for each: path, frame, prediction, "
        "abstained, p_<class>…, ood_score, quality, error. A file that cannot be read is a row "
        "with the reason. Interrupted or killed, the same command goes on where it was. Research "
        "software: not for diagnosis.",
    )
    add = parser.add_argument
    add("--checkpoint", required=True, help=f"{CHECKPOINT}; or a .onnx file")
    named = (
        "in this order; of folders (with those in them), archives (zip, tar) and globs, the images "
        "sorted by path. A glob in quotes may match more than a shell can pass on"
    )
    add("inputs", nargs="*", metavar="INPUT", help=named)
    lines = "further inputs, one path per line; - reads standard input"
    add("--list", dest="path_list", metavar="FILE", help=lines)
    output = "the file to write: .csv, .jsonl or .parquet"
    add("--output", required=True, metavar="FILE", help=output)
    add("--overwrite", action="store_true", help="replace --output, once the new one is finished")
    restart = "begin anew where --output is unfinished, by whatever settings"
    add("--restart", action="store_true", help=restart)
    window = "of grey levels beyond 8 bits: auto, percentiles or LOW,HIGH (default: as trained)"
    add("--window", default="", metavar="RULE", help=window)
    axis = "how volumes are cut (default: as trained)"
    add("--slice-axis", default="", choices=SLICE_AXES, help=axis)
    runtime = "computes the network; auto: onnx where there is an exported network [auto]"
    add("--runtime", choices=(AUTO, *RUNTIMES), default=AUTO, help=runtime)
    add("--batch-size", type=integer(1), default=32, metavar="N", help="images at once [32]")
    dtype = "auto: bfloat16 on a GPU or TPU, float32 on a CPU (default: as in training)"
    add("--dtype", choices=("auto", "float32", "bfloat16"), help=dtype)
    add("--allow-untrained", action="store_true", help="accept a head that was never trained")
    add_engine_flags(parser, "in this process")
    return parser


def main(argv: list[str]) -> None:
    """Predicts as the flags ask."""
    parser = make_parser()
    flags = parser.parse_args(argv)
    refuse_several_processes("fakd predict")
    options = vars(flags)
    with _mapper(ray_address(flags), parser.modules) as mapper:
        for engine in ("engine", "ray_address"):
            del options[engine]
        if choose_runtime(flags.checkpoint, flags.runtime) == "jax":
            use_compilation_cache()
        from fakd_jax.prediction.run import predict_files

        predict_files(**options, mapper=mapper)


def _mapper(address: str | None, modules: Sequence[str]) -> AbstractContextManager[Mapper | None]:
    """None, or Ray at an address, which starts its processes before JAX has threads."""
    if address is None:
        return nullcontext()
    return RayMapper(address, "fakd predict --engine ray", worker_preparation(modules))


sys.modules[__name__].__class__ = CallableModule  # `fakd_jax.predict(...)` is the library's call

if __name__ == "__main__":
    run_command(main)
