"""Compares KernelSHAP's stability between seeds with the shap package's.

    pip install shap
    python scripts/compare_shap.py [--games 100] [--num-samples 1000]

A game stands for an image of 38 to 49 superpixels: its value is a logistic of single superpixels
and pairs, as uneven as a network's probability. Both estimate the Shapley values of each game with
four seeds and the same budget.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from fakd_jax.cli.runner import CommandParser, integer, run_command
from fakd_jax.errors import UserError
from fakd_jax.explanation.methods.kernel_shap import (
    KernelShapExplainer,
    choose_coalitions,
    shapley_regression,
)
from fakd_jax.explanation.quality.stability import stability_of
from fakd_jax.reporting.tables import text_table

SEEDS, TOP = 4, 3
Game = Callable[[np.ndarray], np.ndarray]


def main(argv: list[str]) -> None:
    parser = CommandParser(prog="compare_shap.py", description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=integer(1), default=100, help="[100]")
    parser.add_argument("--num-samples", type=integer(1), default=1000, help="[1000]")
    flags = parser.parse_args(argv)
    KernelShapExplainer(flags.num_samples)  # refuses what it could not take
    if find_spec("shap") is None:
        raise UserError("this comparison needs the shap package: pip install shap")
    found: dict[str, list[tuple[float, float]]] = {}
    for number in range(flags.games):
        count = int(np.random.default_rng(number).integers(38, 50))
        for name, estimate in (("ours", ours), ("shap", theirs)):
            runs = [
                estimate(a_game(count, number), count, flags.num_samples, SEEDS * number + seed)
                for seed in range(SEEDS)
            ]
            stability = stability_of(np.array(runs), TOP)
            found.setdefault(name, []).append((stability.jaccard, stability.rank_correlation))
    rows = []
    for name, values in found.items():
        means = np.mean(values, axis=0)
        errors = np.std(values, axis=0) / np.sqrt(len(values))
        rows.append([name, *(f"{a:.3f} ± {b:.3f}" for a, b in zip(means, errors, strict=True))])
    print(f"{flags.games} games, {flags.num_samples:,} coalitions, mean ± standard error")
    print(text_table(["KernelSHAP", f"top {TOP} of two seeds", "rank correlation"], rows))


def a_game(count: int, seed: int) -> Game:
    """Coalitions ``[N, S]`` to values ``[N]``; about even between none and all."""
    random = np.random.default_rng(seed)
    single, pairs = random.laplace(size=count), 0.6 * random.normal(size=(count, count))
    offset = random.normal() - single.sum() / 2 - pairs.sum() / 4

    def value(visible: np.ndarray) -> np.ndarray:
        shown = (np.asarray(visible) > 0.5).astype(float)
        return 1 / (1 + np.exp(-(shown @ single + ((shown @ pairs) * shown).sum(axis=1) + offset)))

    return value


def ours(game: Game, count: int, num_samples: int, seed: int) -> np.ndarray:
    """As :class:`fakd_jax.explanation.methods.kernel_shap.KernelShapExplainer` estimates them."""
    none, whole = game(np.array([[False] * count, [True] * count]))
    coalitions = choose_coalitions(count, num_samples, seed)
    values = game(coalitions.visible)
    kernel = coalitions.kernel[None]
    return shapley_regression(coalitions.visible, values, none, whole, kernel)[0]


def theirs(game: Game, count: int, num_samples: int, seed: int) -> np.ndarray:
    """By `shap.KernelExplainer` without its selection of features."""
    import shap

    np.random.seed(seed)  # noqa: NPY002 - it draws from NumPy's global state
    explainer = shap.KernelExplainer(game, np.zeros((1, count)), silent=True)
    values = explainer.shap_values(
        np.ones((1, count)), nsamples=num_samples, l1_reg=False, silent=True
    )
    return np.asarray(values)[0]


if __name__ == "__main__":
    run_command(main)
