from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

nibabel = pytest.importorskip("nibabel", reason="needs the extra `nifti`")

from fakd_jax.data.pixels import nifti  # noqa: E402
from fakd_jax.data.pixels.frames import frames_in, read_frame  # noqa: E402
from fakd_jax.data.pixels.window import PixelRules, Window  # noqa: E402
from fakd_jax.errors import UserError  # noqa: E402

RNG = np.random.default_rng(7)
SHAPE = (9, 10, 11)  # left, posterior, superior
HEAD = RNG.integers(0, 4_096, SHAPE, dtype=np.int16)
HEAD[0, 0, :2] = 0, 4_095
DEPTH = Window("levels", 0, 4_095)
AXES = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}


def write(path: Path, head: np.ndarray, codes: str = "LPS", **header: float) -> Path:
    """Writes a volume of axes left, posterior, superior with its voxels in another order."""
    order = [AXES[code][0] for code in codes]
    signs = [AXES[code][1] for code in codes]
    turned = head.transpose(order + list(range(3, head.ndim)))
    turned = turned[tuple(slice(None, None, sign) for sign in signs)]
    affine = np.zeros((4, 4))
    for column, code in enumerate(codes):
        axis, sign = AXES[code]
        affine[axis, column] = sign * (-1 if axis < 2 else 1)  # the world is RAS
    affine[3, 3] = 1
    image = nibabel.Nifti1Image(turned, affine)
    image.header.set_slope_inter(header.get("slope", 1), header.get("inter", 0))
    nibabel.save(image, path)
    return path


def slices(path: Path, axis: str, window: Window | None = DEPTH) -> np.ndarray:
    rules = PixelRules(window, axis)
    return np.stack([read_frame(path, i, rules)[..., 0] for i in range(frames_in(path, axis))])


def eight_bits(levels: np.ndarray) -> np.ndarray:
    return np.rint(levels.astype(float) * 255 / 4_095).astype(np.uint8)


@pytest.mark.parametrize("codes", ["LPS", "RAS", "LAS", "PSR", "SLA", "IRA"])
@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
def test_every_order_of_voxels_gives_the_same_slices(
    tmp_path: Path, codes: str, suffix: str
) -> None:
    path = write(tmp_path / f"a.{suffix}", HEAD, codes)
    head = eight_bits(HEAD)
    np.testing.assert_array_equal(slices(path, "axial"), head.transpose(2, 1, 0))
    if suffix == "nii":
        coronal, sagittal = head.transpose(1, 2, 0), head.transpose(0, 2, 1)
        np.testing.assert_array_equal(slices(path, "coronal"), coronal[:, ::-1])
        np.testing.assert_array_equal(slices(path, "sagittal"), sagittal[:, ::-1])


def test_the_right_of_the_patient_is_on_the_left_and_the_face_at_the_top(tmp_path: Path) -> None:
    head = np.zeros(SHAPE, np.uint8)
    head[0, :, 5], head[:, 0, 5] = 200, 100  # the rightmost and the most anterior voxels
    picture = read_frame(write(tmp_path / "a.nii", head, "RAS"), 5)
    assert (picture[1:, 0] == 200).all()
    assert (picture[0, 1:] == 100).all()
    assert not picture[1:, 1:].any()


def test_values_are_scaled_and_spread_over_the_volume(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii.gz", HEAD, "RAS", slope=0.25, inter=-100)
    levels = nifti.NiftiFile(path, "a", "axial").read(3).levels
    np.testing.assert_array_equal(levels, HEAD[..., 3].T * 0.25 - 100)
    low, high = np.percentile(HEAD, [0.5, 99.5])
    expected = np.rint(np.clip((HEAD[..., 3].T - low) / (high - low), 0, 1) * 255)
    picture = read_frame(path, 3)[..., 0]
    np.testing.assert_allclose(picture, expected, atol=1)


def test_volumes_of_8_bits_keep_their_grey_levels(tmp_path: Path) -> None:
    head = (HEAD // 16).astype(np.uint8)
    np.testing.assert_array_equal(
        read_frame(write(tmp_path / "a.nii", head), 2)[..., 1], head[..., 2].T
    )


def test_what_is_not_a_number_counts_as_the_lowest(tmp_path: Path) -> None:
    head = HEAD.astype(np.float32)
    head[3, 3, 3] = np.nan
    head[4, 4, 4] = -np.inf
    path = write(tmp_path / "a.nii", head)
    assert slices(path, "axial")[3, 3, 3] == 0
    write(path, np.full(SHAPE, np.nan, np.float32))
    with pytest.raises(UserError, match="none of its values is a number"):
        read_frame(path, 0)


def test_several_volumes_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii", np.repeat(HEAD[..., None], 4, axis=-1))
    with pytest.raises(UserError, match=r"it has 4 volumes; save the one"):
        frames_in(path)
    path = write(tmp_path / "b.nii", HEAD[..., None])
    np.testing.assert_array_equal(slices(path, "axial"), eight_bits(HEAD).transpose(2, 1, 0))


def test_limits_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.nii.gz", HEAD)
    monkeypatch.setattr(nifti, "MAX_VOXELS", 900)
    with pytest.raises(UserError, match="9 × 10 × 11 is more than 900 voxels"):
        frames_in(path)
    monkeypatch.undo()
    with pytest.raises(UserError, match="7 × 10 pixels is too small"):
        frames_in(write(path, HEAD[:7]))


@pytest.mark.parametrize("kept", [0, 100, 300])
def test_broken_files_are_named(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path / "a.nii", HEAD)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"a\.nii: broken or incomplete NIfTI file"):
        read_frame(path, 0)
    with pytest.raises(UserError, match="no such image file"):
        frames_in(tmp_path / "gone.nii")


def test_an_unknown_axis_is_refused() -> None:
    with pytest.raises(UserError, match="use one of axial, coronal, sagittal"):
        PixelRules(slice_axis="oblique")
