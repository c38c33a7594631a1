"""The record of a benchmark as a Markdown table."""

from __future__ import annotations

from typing import Any

from benchmarks.settings import OURS


def table(record: dict[str, Any]) -> str:
    """One row per measure and side, with the ratio of ours to it."""
    device, rates = record["machine"], record["rates"]
    lines = [
        f"{device['device']}, {device['cpu_count']} processors, JAX {device['jax']}; "
        f"batch {record['settings']['batch']}, {record['settings']['image_size']} pixels. "
        f"Matrix products run at {rates['matmul_float32'] / 1e9:,.0f} GFLOP/s in float32 and "
        f"{rates['matmul_bfloat16'] / 1e9:,.0f} in bfloat16, memory at "
        f"{rates['bandwidth'] / 1e9:,.0f} GB/s.",
        "",
        "| measure | side | median ms | quartiles | ours / this | peak MB (steady) | to first s |",
        "|---|---|---|---|---|---|---|",
    ]
    for measure, sides in record["measures"].items():
        ours = sides.get("ours")
        for side, metrics in sides.items():
            lines.append(_row(measure, side, metrics, ours))
    lines += ["", *_limits(record)]
    return "\n".join(lines) + "\n"


def _row(measure: str, side: str, metrics: dict[str, Any], ours: dict[str, Any] | None) -> str:
    low, high = metrics["quartiles"]
    ratio = f"{ours['median'] / metrics['median']:.2f}" if ours and side != "ours" else ""
    memory = metrics["memory"]
    first = f"{metrics['first_call']:.1f}"
    if side in OURS:
        first = f"{metrics['first_call_cold']:.1f}, cached {first}"
    return (
        f"| {measure} | {side} | {1e3 * metrics['median']:.1f} | {1e3 * low:.1f}–{1e3 * high:.1f} "
        f"| {ratio} | {memory['peak'] / 1e6:,.0f} ({memory['steady'] / 1e6:,.0f}) | {first} |"
    )


def _limits(record: dict[str, Any]) -> list[str]:
    """Our steps against the machine's peak rates, and their compilation times."""
    rates, lines = record["rates"], []
    for measure, sides in record["measures"].items():
        ours = sides.get("ours", {})
        if not ours.get("flops"):
            continue
        arithmetic = ours["flops"] / rates["matmul_float32"]
        memory = ours["bytes"] / rates["bandwidth"]
        lines.append(
            f"- {measure}: {ours['flops'] / 1e9:,.0f} GFLOP would take {1e3 * arithmetic:,.0f} ms "
            f"at the rate of matrix products, {ours['bytes'] / 1e9:,.1f} GB {1e3 * memory:,.0f} ms "
            f"at the memory's; it took {1e3 * ours['median']:,.0f} ms. Compiled in "
            f"{ours['compilation_cold']:.1f} s, with a filled cache in {ours['compilation']:.1f} s."
        )
    return lines
