from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakd_jax.data.phantom import dataset as module
from fakd_jax.data.phantom.anatomy import PLANES, draw_head
from fakd_jax.data.phantom.dataset import CLASS_NAMES, MASK_FOLDER, Phantom, phantom, write_phantoms
from fakd_jax.data.phantom.lesions import ADD_LESION, SELLA_MARGIN
from fakd_jax.data.phantom.shapes import blob, capsule, ellipse, smooth_noise
from fakd_jax.errors import UserError

PER_CLASS = 120


@pytest.fixture(scope="module")
def drawn() -> list[Phantom]:
    return [phantom(seed, label, 48) for label in range(4) for seed in range(PER_CLASS)]


def test_equal_seeds_give_equal_bytes_and_others_do_not() -> None:
    first, again = phantom(5, "glioma", 64), phantom(5, 0, 64)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.mask, again.mask)
    assert (first.plane, first.contrast, first.label) == (again.plane, again.contrast, 0)
    other = phantom(6, "glioma", 64)
    assert other.image.shape != first.image.shape or (other.image != first.image).any()


def test_pictures_and_masks_are_plausible(drawn: list[Phantom]) -> None:
    smallest, largest = module.AREA_BOUNDS
    for picture in drawn:
        height, width, channels = picture.image.shape
        assert (picture.image.dtype, picture.mask.dtype, channels) == (np.uint8, bool, 3)
        assert picture.mask.shape == (height, width)
        assert max(abs(height - 48), abs(width - 48)) <= 5
        assert (picture.image == picture.image[..., :1]).all()
        assert picture.image.max() > 100
        area = picture.mask.mean()
        healthy = CLASS_NAMES[picture.label] == "notumor"
        assert area == 0 if healthy else smallest <= area <= largest
    assert len({picture.image.shape for picture in drawn}) > 20


@pytest.mark.parametrize("attribute", ["plane", "contrast"])
def test_planes_and_contrasts_do_not_give_the_class_away(
    drawn: list[Phantom], attribute: str
) -> None:
    from scipy.stats import chi2_contingency
    from scipy.stats.contingency import crosstab

    table = crosstab([p.label for p in drawn], [getattr(p, attribute) for p in drawn]).count
    assert table.shape == (4, 3)
    assert table.min() > 0
    assert chi2_contingency(table).pvalue > 0.001


def test_lesions_show(drawn: list[Phantom]) -> None:
    """Inside, the lesion's grey differs from the ring around it, in most pictures clearly."""
    from scipy.ndimage import binary_dilation

    contrasts = []
    for picture in drawn:
        if picture.mask.any():
            image = picture.image[..., 0].astype(float)
            ring = binary_dilation(picture.mask, iterations=4) & ~picture.mask
            spread = abs(np.percentile(image[picture.mask], [10, 50, 90]) - np.median(image[ring]))
            contrasts.append(spread.max())
    assert np.percentile(contrasts, 5) > 8
    assert np.median(contrasts) > 40


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("name", sorted(ADD_LESION))
def test_lesions_sit_where_their_class_does(name: str, plane: str) -> None:
    distances = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        head = draw_head(rng, (96, 96), plane=plane, contrast="t1c", sellar=True)
        mask = ADD_LESION[name](head)
        assert mask.any()
        assert head.sella is not None
        sella = np.hypot(head.x - head.sella[0], head.y - head.sella[1])
        if name == "pituitary":
            assert sella[mask].min() < 0.08
            assert sella[mask].max() < 0.8
            assert abs(head.x[mask].mean() - head.sella[0]) < 0.1
        else:
            assert (head.cavity[mask] > 0).all()
            distances.append(sella[mask].min() > SELLA_MARGIN / 2)
        if name == "glioma":
            assert head.brain[mask].min() > 0
        if name == "meningioma":
            falx = head.falx is not None and abs(head.x[mask]).min() < 3 * head.pixel
            assert falx or head.cavity[mask].min() < 2 * head.pixel
    assert not distances or np.mean(distances) > 0.6


def test_gliomas_are_rougher_than_meningiomas() -> None:
    """Perimeter² / area, a circle's being 4π."""
    from scipy.ndimage import binary_erosion

    def roughness(label: int) -> float:
        masks = [phantom(seed, label, 96).mask for seed in range(25)]
        edges = [(mask & ~binary_erosion(mask)).sum() for mask in masks]
        return float(np.median([e**2 / mask.sum() for e, mask in zip(edges, masks, strict=True)]))

    assert roughness(0) > 1.25 * roughness(1)


def test_pituitary_needs_a_sella() -> None:
    head = draw_head(np.random.default_rng(0), (48, 48), plane="axial", contrast="t1", sellar=False)
    with pytest.raises(ValueError, match="sella"):
        ADD_LESION["pituitary"](head)


def files_under(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_written_set_is_laid_out_seeded_and_nested(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "a", train_per_class=3, test_per_class=2, size=32, seed=4)
    write_phantoms(tmp_path / "b", train_per_class=3, test_per_class=2, size=32, seed=4)
    write_phantoms(tmp_path / "c", train_per_class=1, test_per_class=1, size=32, seed=4)
    write_phantoms(tmp_path / "d", train_per_class=1, test_per_class=1, size=32, seed=5)
    full, small = files_under(tmp_path / "a"), files_under(tmp_path / "c")
    assert files_under(tmp_path / "b") == full
    assert small.items() <= full.items()
    tumours = {item for item in small.items() if "notumor" not in item[0]}  # whose masks vary
    assert files_under(tmp_path / "d").items().isdisjoint(tumours)
    images = {name for name in full if not name.startswith(MASK_FOLDER)}
    assert len(images) == 4 * (3 + 2)
    assert "Training/pituitary/Tr-pituitary_0002.png" in images
    assert "Testing/glioma/Te-glioma_0001.png" in images
    assert {name for name in full if name not in images} == {f"{MASK_FOLDER}/{n}" for n in images}
    assert len({full[name] for name in images}) == len(images)


def test_written_pictures_and_masks_fit(tmp_path: Path) -> None:
    write_phantoms(tmp_path, train_per_class=1, test_per_class=1, size=32, seed=0)
    for name in CLASS_NAMES:
        file = Path("Testing") / name / f"Te-{name}_0000.png"
        with Image.open(tmp_path / file) as image, Image.open(tmp_path / "masks" / file) as mask:
            assert image.mode == mask.mode == "L"
            assert image.size == mask.size
            levels = set(np.unique(np.asarray(mask)).tolist())
        assert levels == ({0} if name == "notumor" else {0, 255})


@pytest.mark.parametrize(
    "call",
    [
        lambda: phantom(0, "astrocytoma", 64),
        lambda: phantom(0, 4, 64),
        lambda: phantom(0, 0, 31),
        lambda: write_phantoms(Path("unused"), train_per_class=0),
        lambda: write_phantoms(Path("unused"), seed=-1),
    ],
)
def test_impossible_phantoms_raise(call: object) -> None:
    with pytest.raises(UserError):
        call()  # type: ignore[operator]
    assert not Path("unused").exists()


def test_lesion_that_never_fits_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AREA_BOUNDS", (0.9, 1.0))
    monkeypatch.setattr(module, "_ATTEMPTS", 2)
    with pytest.raises(RuntimeError, match="no glioma of plausible area"):
        phantom(0, "glioma", 32)


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    places = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
    x, y = np.meshgrid(places, places)
    return x, y


def test_shapes_have_the_areas_of_geometry() -> None:
    x, y = grid(200)
    place = 4 / 200**2
    assert (ellipse(x, y, (0.1, 0.0), (0.5, 0.3), 0.7) > 0).sum() * place == pytest.approx(
        np.pi * 0.15, rel=0.01
    )
    assert (capsule(x, y, (-0.5, 0.0), (0.5, 0.0), 0.1) > 0).sum() * place == pytest.approx(
        0.2 + np.pi * 0.01, rel=0.01
    )
    assert (blob(x, y, (0.0, 0.0), 0.4, stretch=2.0, tilt=0.3) > 0).sum() * place == pytest.approx(
        np.pi * 0.16, rel=0.01
    )


@pytest.mark.parametrize("cells", [3, 12])
def test_smooth_noise_is_standard_and_smooth(cells: int) -> None:
    rng = np.random.default_rng(0)
    noise = np.stack([smooth_noise(rng, (60, 44), cells) for _ in range(200)])
    assert abs(noise.mean()) < 0.05
    assert noise.std() == pytest.approx(1, abs=0.1)
    step = abs(np.diff(noise, axis=1)).mean()
    assert step < 1.5 * cells / 60
