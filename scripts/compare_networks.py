"""Compares our networks with those of torchvision, timm and transformers on the same weights.

    pip install torch torchvision timm transformers
    python scripts/compare_networks.py                     # all networks, all libraries installed
    python scripts/compare_networks.py resnet18 convnext_tiny

Each library's network gets random weights and random images. Its state dict goes into ours, whose
logits are compared in float32, and back out, to be loaded into the library's network again.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from goldens import common
from networks.libraries import CLASSES, NETWORKS

from fakd_jax.cli.runner import CommandParser, run_command
from fakd_jax.errors import UserError
from fakd_jax.models import create_model
from fakd_jax.models.state import model_state
from fakd_jax.models.torch_weights import load_state_dict, to_state_dict
from fakd_jax.models.torch_weights.names import differing_settings, recognise

TOLERANCE = 1e-4


def main(argv: list[str]) -> None:
    """Prints a table, and exits with 1 if any network differs."""
    flags = _parser().parse_args(argv)
    if unknown := sorted(set(flags.networks) - NETWORKS.keys()):
        raise UserError(f"no network {', '.join(unknown)}; choose from {', '.join(NETWORKS)}")
    if importlib.util.find_spec("torch") is None:
        raise UserError("this needs PyTorch: pip install torch torchvision timm transformers")
    heading = f"{'network':20}{'weights of':14}{'settings':48}{'logits differ by':18}back out"
    print(heading)
    worst = 0.0
    for name in flags.networks or NETWORKS:
        for library, (create, naming) in NETWORKS[name].items():
            if importlib.util.find_spec(library.partition(" ")[0]) is None:
                print(f"{name:20}{library:14}not installed")
                continue
            settings, difference, same = compare(name, create(), naming)
            worst = max(worst, difference if same else np.inf)
            given = ", ".join(f"{key} {value}" for key, value in settings.items()) or "default"
            back = "the same" if same else "DIFFERENT"
            print(f"{name:20}{library:14}{given:48}{difference:<18.1e}{back}", flush=True)
    print(f"largest relative difference {worst:.1e}, at most {TOLERANCE:.0e} is allowed")
    if worst > TOLERANCE:
        sys.exit(1)


def compare(name: str, theirs: Any, naming: str = "") -> tuple[Mapping[str, Any], float, bool]:
    """Compares one of our networks with a library's on random weights.

    Args:
      name: of our network.
      theirs: the library's, a `torch.nn.Module`; its weights are overwritten.
      naming: as of :func:`recognise`.

    Returns:
      The settings that ours needs, the largest difference of the logits relative to the largest
      logit, and whether the state dict that comes back out is the one that went in.
    """
    import torch

    shapes = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    state = common.state_dict(shapes)
    theirs.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
    images = common.images()
    with torch.no_grad():
        outputs = theirs.eval()(torch.from_numpy(images).permute(0, 3, 1, 2))
    expected = getattr(outputs, "logits", outputs).numpy()

    skeleton = nnx.eval_shape(lambda: create_model(name, **CLASSES, rngs=nnx.Rngs(0)))
    table = recognise(skeleton, state, naming)
    settings = differing_settings(skeleton, table)
    ours = nnx.eval_shape(lambda: create_model(name, **CLASSES, rngs=nnx.Rngs(0), **settings))
    load_state_dict(ours, state, table=table)
    ours.eval()
    logits = np.asarray(nnx.jit(lambda model, x: model(x))(ours, jnp.asarray(images)))
    difference = float(np.max(np.abs(logits - expected)) / np.max(np.abs(expected)))

    back = to_state_dict(model_state(ours), table)
    counters = {key for key in state if key.endswith("num_batches_tracked")}
    same = back.keys() == state.keys() - counters and all(
        np.array_equal(back[key], state[key]) for key in back
    )
    return settings, difference, same


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="compare_networks.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="(default: all)")
    return parser


if __name__ == "__main__":
    run_command(main)
