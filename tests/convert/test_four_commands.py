"""A network of a plain PyTorch script: converted, evaluated, explained and used as a teacher."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakd_jax.__main__ import main
from fakd_jax.inference.predictor import Predictor
from tests.tiny import CLASS_NAMES, as_flags, tiny_overrides

pytestmark = [pytest.mark.slow, pytest.mark.torch]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# As the script happened to number them; the data have them in alphabetical order.
ORDER = ("notumor", "glioma", "pituitary", "meningioma")


def read_folder(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images [N, 3, 32, 32], normalised, and labels: what a PyTorch script feeds its network."""
    images, labels = [], []
    for label, name in enumerate(ORDER):
        for file in sorted((folder / name).glob("*.png")):
            small = Image.open(file).convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)
            images.append((np.asarray(small, np.float32) / 255 - MEAN) / STD)
            labels.append(label)
    return np.stack(images).transpose(0, 3, 1, 2).astype(np.float32), np.array(labels)


def train_in_pytorch(data: Path, file: Path):
    """The script: a loop over epochs, and `torch.save` of the state dict."""
    torch = pytest.importorskip("torch")
    from tests.torch_networks import ResNet

    torch.manual_seed(0)
    images, labels = map(torch.from_numpy, read_folder(data / "Training"))
    model = ResNet().train()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    torch.save(model.state_dict(), file)
    return model.eval()


def test_four_commands(data: Path, cache: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = train_in_pytorch(data, tmp_path / "script.pth")
    images, labels = read_folder(data / "Testing")
    with torch.no_grad():
        theirs = model(torch.from_numpy(images)).numpy()
    assert (theirs.argmax(1) == labels).mean() > 0.9

    weights = str(tmp_path / "weights")
    main(
        [
            *("convert", "--arch", "tiny_resnet", "--input", str(tmp_path / "script.pth")),
            *("--output", weights, "--class-names", ",".join(ORDER)),
            *("--negative-class", "notumor", "--image-size", "32"),
            *("--mean", ",".join(map(str, MEAN)), "--std", ",".join(map(str, STD))),
        ]
    )
    predictor = Predictor.from_checkpoint(weights)
    assert predictor.class_names == ORDER

    evaluation = tmp_path / "evaluation"
    shared = ["--data", str(data), "--cache-dir", str(cache)]
    main(["evaluate", "--checkpoint", weights, "--output", str(evaluation), *shared])
    metrics = json.loads((evaluation / "metrics.json").read_text())
    assert metrics["n"] == len(labels)
    assert metrics["accuracy"] == pytest.approx((theirs.argmax(1) == labels).mean())
    assert metrics["missed_tumour"] is not None

    explanation = tmp_path / "explanation"
    more = ["--per-class", "1", "--num-samples", "20", "--no-figures"]
    main(["explain", "--checkpoint", weights, "--output", str(explanation), *shared, *more])
    assert len((explanation / "explanations.jsonl").read_text().splitlines()) == len(CLASS_NAMES)

    run = tmp_path / "run"
    overrides = tiny_overrides(data, cache) | {"teacher.checkpoint": weights}
    overrides |= {"student.num_epochs": 1, "distillation.alpha": 1.0}
    main(["train", "--config", "kd", "--workdir", str(run), *as_flags(overrides)])
    log = (run / "train.log").read_text()
    assert "order of the data's classes" in log
    assert "its own mean (0.485, 0.456, 0.406)" in log
    assert json.loads((run / "evaluation" / "metrics.json").read_text())["n"] == len(labels)
