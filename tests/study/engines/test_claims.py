"""Claims: one process per cell, and a dead or silent one loses it."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fakd_jax.errors import UserError
from fakd_jax.study.engines.claims import Claims

REPOSITORY = Path(__file__).resolve().parents[3]
LEASE_SECONDS = 0.6
CLAIMANT = f"""
import sys, time
from pathlib import Path
from fakd_jax.study.engines.claims import Claims
with Claims({LEASE_SECONDS}).claim(Path(sys.argv[1])) as claimed:
    print(claimed, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process, which has claimed the cell."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLAIMANT, str(tmp_path / "cell")],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.communicate()


def seconds_until_claimed(claims, folder):
    started = time.monotonic()
    with claims.claim(folder, wait=True) as claimed:
        assert claimed
        return time.monotonic() - started


def test_a_live_claim_outlasts_the_lease_and_ends_with_its_process(tmp_path, other):
    claims, deadline = Claims(LEASE_SECONDS), time.monotonic() + 2 * LEASE_SECONDS
    while time.monotonic() < deadline:
        with claims.claim(tmp_path / "cell") as claimed:
            assert not claimed
    other.kill()
    other.wait()
    assert seconds_until_claimed(claims, tmp_path / "cell") < LEASE_SECONDS / 2


def test_a_silent_process_loses_its_claim_after_the_lease_and_then_ends(tmp_path, other):
    other.send_signal(signal.SIGSTOP)
    waited = seconds_until_claimed(Claims(LEASE_SECONDS), tmp_path / "cell")
    assert LEASE_SECONDS <= waited < LEASE_SECONDS + 2
    other.send_signal(signal.SIGCONT)
    _, errors = other.communicate(timeout=20)
    assert other.returncode == 2
    assert errors.startswith("error: another process has taken over")
    assert errors.count("\n") == 1


def test_every_cell_is_claimed_by_one_of_many(tmp_path):
    cells = [tmp_path / f"{number}" for number in range(5)]
    made, holders = [], dict.fromkeys(cells, 0)

    def work():
        claims = Claims()
        while len(made) < len(cells):
            for cell in cells:
                with claims.claim(cell) as claimed:
                    if claimed and cell not in made:
                        holders[cell] += 1
                        time.sleep(0.01)
                        made.append(cell)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert holders == dict.fromkeys(cells, 1)


def test_a_claim_is_released_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), Claims().claim(tmp_path):
        raise KeyboardInterrupt
    with Claims().claim(tmp_path) as claimed:
        assert claimed
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"), Claims().claim(tmp_path / "file" / "cell"):
        pass
