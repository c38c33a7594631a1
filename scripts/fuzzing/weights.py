"""Files of weights: safetensors and PyTorch's pickles, some of which would run code."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from fakd_jax.models.torch_weights.files import read_state_dict
from fuzzing.expected import only_user_errors, scratch

MARKER = Path(tempfile.gettempdir(), "fakd-fuzz-marker")
_DANGEROUS = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "shutil.rmtree")


class _Calls:
    """Unpickled, it would call a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def evil_objects() -> list[Any]:
    """Objects that run code when a plain unpickler reads them."""
    return [
        _Calls(os.system, f"touch {MARKER}"),
        _Calls(eval, f"open({str(MARKER)!r}, 'w')"),
        _Calls(exec, f"open({str(MARKER)!r}, 'w')"),
        _Calls(builtins.open, str(MARKER), "w"),
        _Calls(Path.touch, MARKER),
    ]


def seeds() -> list[bytes]:
    """The first byte chooses the suffix: even ones `.safetensors`, odd ones `.pth`."""
    values = {"a": np.arange(6, dtype=np.float32), "b.c": np.zeros((2, 0), np.float16)}
    made = [b"\0" + safetensors.numpy.save(values)]
    pickles = [pickle.dumps(value, protocol=2) for value in ({"a": 1}, *evil_objects())]
    pickles.append(pickle.dumps({"a": np.array([{}], object)}, protocol=2))
    pickles.append(b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.")  # a dict in itself
    made += [b"\1" + each for each in pickles]
    made += [b"\1" + torch_archive(each) for each in pickles]
    texts = b"<html>not found</html>", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    made += [kind + text for kind in (b"\0", b"\1") for text in texts]
    try:
        import torch
    except ImportError:
        return made
    for zipped in (True, False):
        buffer = io.BytesIO()
        weights = {"module.a": torch.ones(2, 3), "module.n": torch.tensor(3)}
        torch.save({"model": weights}, buffer, _use_new_zipfile_serialization=zipped)
        made.append(b"\1" + buffer.getvalue())
    return made


def torch_archive(pickled: bytes) -> bytes:
    """The pickle in a zip archive, as PyTorch saves it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr("archive/data.pkl", pickled)
        zipped.writestr("archive/version", "3\n")
    return buffer.getvalue()


_watching = False
_events: list[str] = []


def _refuse_code(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: reading weights may start no program.

    It records the event for `check`, as `read_state_dict` makes a `UserError` of what is raised.
    """
    if _watching and event.startswith(_DANGEROUS):
        _events.append(f"{event} {arguments}")
        raise AssertionError(_events[-1])


sys.addaudithook(_refuse_code)


def check(data: bytes) -> None:
    """Reads weights; no code in them may run."""
    global _watching
    _events.clear()
    with scratch() as folder:
        suffix = ".pth" if data[:1] > b"\0" and data[0] % 2 else ".safetensors"
        file = folder / f"weights{suffix}"
        file.write_bytes(data[1:])
        with only_user_errors():
            _watching = True
            try:
                read = read_state_dict(file, log=lambda line: None)
            finally:
                _watching = False
            assert all(array.dtype != object for array in read.values())
        assert not _events, f"a file of weights ran code: {_events}"
        assert not MARKER.exists(), "code in a file of weights ran"
