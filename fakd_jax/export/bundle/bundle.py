"""The bundle itself: a checkpoint folder, or a zip of one."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fakd_jax.errors import UserError
from fakd_jax.export.bundle.card import CARD_FILE, render_card
from fakd_jax.export.bundle.metadata import bundle_metadata
from fakd_jax.export.onnx import file as onnx_file
from fakd_jax.export.request import Request
from fakd_jax.export.verification import verify_logits
from fakd_jax.inference.adapter import weights_sha256
from fakd_jax.inference.predictor import Predictor
from fakd_jax.models.checkpoint import MODEL_FOLDER, save_model
from fakd_jax.models.state import model_state
from fakd_jax.reference.find import find_reference
from fakd_jax.runs.files import ONNX_FILE
from fakd_jax.runtime.archives import extract_archive
from fakd_jax.runtime.sha256sums import write_sums

SUFFIXES = ("", ".zip")
_COMMIT_FILE = "commit_success.txt"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of all members, so that equal bundles are equal files


def write(request: Request, path: Path) -> None:
    """Writes the bundle to a folder, or to a zip if the path ends so.

    Raises:
      UserError: the evaluation beside the checkpoint is damaged, or see
        :func:`fakd_jax.export.onnx.file.write`.
    """
    if path.suffix != ".zip":
        _write_folder(request, path)
        return
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as scratch:
        folder = Path(scratch) / "bundle"
        _write_folder(request, folder)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for file in sorted(each for each in folder.rglob("*") if each.is_file()):
                name = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _EPOCH)
                name.compress_type, name.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                zipped.writestr(name, file.read_bytes())


def verify(request: Request, path: Path) -> str:
    """Opens the bundle as any command does, and compares its logits with the checkpoint's.

    Raises:
      UserError: they differ, or a file of the bundle names a path of this machine.
    """
    with as_folder(path) as folder:
        _require_anonymous(request, folder)
        opened = Predictor.from_checkpoint(
            folder, dtype="float32", batch_size=request.predictor.batch_size
        )
        lines = verify_logits(request.predictor, opened.predict_logits, request.images.test)
        if (folder / ONNX_FILE).is_file():
            lines += f"\n{ONNX_FILE}: {onnx_file.verify(request, folder / ONNX_FILE)}"
    return f"{lines}\nno file names a path of this machine"


def usage(request: Request, path: Path) -> str:
    """How a bundle is used."""
    del request
    return f"in any command: --checkpoint {path.name}"


def _write_folder(request: Request, folder: Path) -> None:
    predictor = request.predictor
    metadata = bundle_metadata(predictor)
    save_model(folder, model_state(predictor.network), metadata)
    commit = folder / MODEL_FOLDER / _COMMIT_FILE
    if commit.is_file():  # Orbax asks only whether it is there; what it wrote is the maker's path
        commit.write_text("committed\n", encoding="utf-8")
    digest = weights_sha256(predictor)
    if reference := find_reference(predictor.checkpoint, predictor.metadata, digest):
        reference.save(folder)
    if request.with_onnx:
        onnx_file.write(request, folder / ONNX_FILE)
    card = render_card(metadata, with_onnx=request.with_onnx)
    (folder / CARD_FILE).write_text(card, encoding="utf-8")
    write_sums(folder)


@contextmanager
def as_folder(path: Path) -> Iterator[Path]:
    """The bundle as a folder, unpacked for a while if it is a zip."""
    if path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as scratch:
        extract_archive(path, Path(scratch))
        yield Path(scratch)


def _require_anonymous(request: Request, folder: Path) -> None:
    """Checks that no file, arrays aside, has a path of the machine that it was made on.

    Raises:
      UserError: one does.
    """
    metadata = request.predictor.metadata
    settings = (metadata.get("config") or {}).get("data") or {}
    known = [request.predictor.checkpoint, Path.home(), Path.cwd(), folder]
    known += [Path(text) for text in (settings.get("source"), settings.get("cache_dir")) if text]
    paths = {str(path) for path in known if path.is_absolute() and len(path.parts) > 1}
    for file in sorted(each for each in folder.rglob("*") if each.is_file()):
        if "d" in file.relative_to(folder).parts[:-1]:  # Orbax's arrays
            continue
        content = file.read_bytes()
        if named := next((path for path in paths if path.encode() in content), None):
            raise UserError(
                f"{file.relative_to(folder)} would name the path {named} of this machine; nothing "
                "was kept: remove it from the checkpoint's evaluation, and export again"
            )
