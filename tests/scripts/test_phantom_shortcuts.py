import importlib.util
import re
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "phantom_shortcuts.py"


@pytest.mark.slow
def test_size_and_brightness_do_not_give_the_class_away(capsys):
    spec = importlib.util.spec_from_file_location("phantom_shortcuts", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(["--train-per-class", "100", "--test-per-class", "100"])
    accuracy = float(re.search(r"([\d.]+)% accuracy", capsys.readouterr().out)[1])
    assert 15 < accuracy < 40
