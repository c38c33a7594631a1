from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakd_jax.cli.runner import run_command
from fakd_jax.data.sources import open_dataset


@pytest.fixture
def main(load_script):
    return load_script("prepare_data").main


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for folder, number in {"train/no": 3, "train/yes": 2, "test/no": 1, "test/yes": 1}.items():
        (tmp_path / "mine" / folder).mkdir(parents=True)
        for index in range(number):
            pixels = rng.integers(0, 256, (9, 11 + index), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "mine" / folder / f"{index}.png")
    (tmp_path / "mine" / "README").write_text("x")
    return tmp_path / "mine"


def test_the_inventory_is_printed_and_the_output_is_a_source(main, source, tmp_path, capsys):
    output = tmp_path / "prepared"
    main(["--source", str(source), "--output", str(output)])
    lines = capsys.readouterr().out.splitlines()
    table = [line.split() for line in lines]
    assert ["class", "train", "test", "all"] in table
    assert ["no", "3", "1", "4"] in table
    assert ["all", "5", "2", "7"] in table
    assert "sizes        11x9: 4, 12x9: 2, 13x9: 1" in lines
    assert "modes        L: 7" in lines
    assert "re-encoded   none" in lines
    assert "unusable     none" in lines
    assert "other files  1: README" in lines
    assert lines[-1].endswith(f"--config.data.source={output}")
    dataset = open_dataset(output)
    assert f"fingerprint  {dataset.fingerprint}" in lines
    main(["--source", str(source), "--output", str(output)])  # once more changes nothing
    assert f"fingerprint  {dataset.fingerprint}" in capsys.readouterr().out


def test_unusable_images_stop_it_or_are_left_out(main, source, tmp_path, capsys):
    (source / "train/no/bad.jpg").write_text("x")
    flags = ["--source", str(source), "--output", str(tmp_path / "prepared")]
    with pytest.raises(SystemExit) as stopped:
        run_command(main, flags)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: 1 of 8 images")
    assert error.count("\n") == 1
    assert "--unreadable skip" in error
    main([*flags, "--unreadable", "skip"])
    assert "unusable     1: train/no/bad.jpg (" in capsys.readouterr().out
