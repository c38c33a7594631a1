"""One side of one measure: prepares it, then calls it as often as its parent requests.

Prints JSON lines: first the report of the preparation (`first_call`: seconds of preparing and one
call, and more), then a reply to each line of standard input (`take N`, `memory`).
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path

from benchmarks.settings import OURS, Settings

MODULES = dict.fromkeys(OURS, "ours") | {"onnx": "onnx_runtime"}


def main() -> None:
    order = json.loads(sys.argv[1])
    settings = Settings(**order["settings"])
    module = import_module(f"benchmarks.{MODULES.get(order['side'], 'pytorch')}")
    start = time.perf_counter()
    call, facts, device_peak = module.prepare(order["measure"], order["side"], settings)
    call()
    _send({"first_call": time.perf_counter() - start} | facts())
    compiled_peak = _peak_resident_bytes()
    call()
    _forget_peak()
    for line in sys.stdin:
        word, *arguments = line.split()
        if word == "take":
            _send({"seconds": [_seconds(call) for _ in range(int(arguments[0]))]})
        else:
            steady = _peak_resident_bytes()
            _send({"peak": max(compiled_peak, steady), "steady": steady, "device": device_peak()})


def _seconds(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _send(reply: dict) -> None:
    print(json.dumps(reply), flush=True)


def _peak_resident_bytes() -> int:
    """Peak memory of this process since it began, or since `_forget_peak` (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    main()
