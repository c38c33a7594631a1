"""State dicts and logits of the networks of timm and transformers (torchvision's: networks.py).

Stored as `shapes` (JSON: our network -> library -> key -> shape; the values follow
`common.weights`) and by `<network>/<library>` the logits in float64.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from goldens import common
from networks.libraries import NETWORKS


def write(output: Path) -> None:
    """Writes `output` (.npz)."""
    shapes: dict[str, dict[str, dict[str, tuple[int, ...]]]] = {}
    arrays: dict[str, np.ndarray] = {}
    images = torch.from_numpy(common.images()).double().permute(0, 3, 1, 2)
    for name, libraries in NETWORKS.items():
        shapes[name] = {}
        for library, (create, _) in libraries.items():
            if library == "torchvision":
                continue
            model = create()
            keys = {key: tuple(value.shape) for key, value in model.state_dict().items()}
            state = common.state_dict(keys)
            model.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
            with torch.no_grad():
                outputs = model.double().eval()(images)
            shapes[name][library] = keys
            arrays[f"{name}/{library}"] = getattr(outputs, "logits", outputs).numpy()
    np.savez_compressed(output, shapes=np.array(json.dumps(shapes)), **arrays)
