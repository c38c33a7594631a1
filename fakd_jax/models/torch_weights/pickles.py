"""PyTorch's pickles, read without executing anything in them.

`torch.load(weights_only=True)` builds tensors and plain containers and refuses every other global.
Training scripts also store their arguments, NumPy scalars and paths beside the weights. Those are
allowed by name, and each is replaced by an inert stand-in: neither its class nor a function of its
library is called, and its values are lost, which nobody needs here.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

from fakd_jax.errors import UserError, listed

_NUMPY = (
    "ndarray dtype bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64"
)
_PATHS = "Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath"

# Module → globals, as pickles name them.
HARMLESS = {
    "argparse": "Namespace",
    "builtins": "bool bytes dict float int list object str tuple",
    "datetime": "date datetime timedelta timezone",
    "numpy": _NUMPY,
    "numpy.core.multiarray": "scalar _reconstruct",
    "numpy._core.multiarray": "scalar _reconstruct",
    "numpy.dtypes": "BoolDType Int64DType Float32DType Float64DType StrDType",
    "omegaconf.base": "ContainerMetadata Metadata",
    "omegaconf.dictconfig": "DictConfig",
    "omegaconf.listconfig": "ListConfig",
    "omegaconf.nodes": "AnyNode",
    "pathlib": _PATHS,
    "pathlib._local": _PATHS,
    "pytorch_lightning.callbacks.early_stopping": "EarlyStopping",
    "pytorch_lightning.callbacks.model_checkpoint": "ModelCheckpoint",
    "types": "SimpleNamespace",
    "typing": "Any",
}
# The same for dictionaries, whose entries may be the weights.
HARMLESS_DICTIONARIES = {
    "collections": "defaultdict",
    "easydict": "EasyDict",
    "lightning.fabric.utilities.data": "AttributeDict",
    "lightning_fabric.utilities.data": "AttributeDict",
    "pytorch_lightning.utilities.parsing": "AttributeDict",
    "yacs.config": "CfgNode",
}

# PyTorch's words for a global that it refuses (torch/_weights_only_unpickler.py).
_REFUSED = re.compile(r"GLOBAL ([\w.]+)|call reduce for|create new object for|only build Tensor")


class _Inert:
    """Takes the place of an object in a pickle, and forgets all that is said about it."""

    def __new__(cls, *_: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


class _InertDictionary:
    """Takes the place of a class of dictionaries; its instances are plain ones, entries and all."""

    def __new__(cls, *_: Any) -> Any:
        return OrderedDict()  # one of the types whose entries PyTorch sets


def read_pickle(path: Path) -> Any:
    """The content of a `.pth`, `.pt`, `.ckpt` or `.bin` file; no code in it is run.

    Raises:
      UserError: it needs PyTorch, which is not installed; it has globals other than those allowed,
        named in the message; it is damaged, or of another format.
    """
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"reading {path.name} needs PyTorch: pip install -e '.[convert]' "
            "(a .safetensors file does not)"
        ) from error
    with torch.serialization.safe_globals(_stand_ins()):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a broken file makes the unpickler raise nearly anything
            complaint = str(error)
        refused = _refused_globals(path, complaint)
    if refused is None:
        raise UserError(
            f"{path} is not a PyTorch checkpoint, or a damaged one "
            f"({path.stat().st_size:,} bytes); download it again"
        )
    raise UserError(
        f"{path} holds pickled Python code, which is never run ({listed(refused)}); save only the "
        "weights: torch.save(model.state_dict(), FILE)"
    )


def _stand_ins() -> list[Any]:
    """One class per allowed global; PyTorch finds it by its module and name."""
    return [
        type(name, (kind,), {"__module__": module})
        for kind, allowed in ((_Inert, HARMLESS), (_InertDictionary, HARMLESS_DICTIONARIES))
        for module, names in allowed.items()
        for name in names.split()
    ]


def _refused_globals(path: Path, complaint: str) -> list[str] | None:
    """The globals that PyTorch refused; None if it complains of something else."""
    match = _REFUSED.search(complaint)
    if match is None:
        return None
    import torch

    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # the format before PyTorch 1.6, of which only the first is known; or damage
        return [match[1] or "a function"]
