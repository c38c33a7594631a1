"""Config files and `--config.KEY=VALUE`: every key with values of every type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict

from fakd_jax.cli.config_flags import parse_config_flags
from fakd_jax.configs import fakd, study
from fakd_jax.experiment.settings import parse
from fuzzing.expected import only_user_errors, scratch

VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 10**400, -(2**63), 1.5, 1e308, float("nan"), float("inf"), "", "text",
    "é\ud800", "a\nb", "\0", "1" * 5000, (), (1, 2, 3), (0.5, float("nan"), 0.5), [1], {}, {"a": 1},
    b"x", object(), {1, 2}, len,
)  # fmt: skip
TEXTS = (
    "", "0", "-1", "nan", "inf", "1e999", "9" * 5000, "True", "none", "(", "(1,", "(1,2)",
    "(0.5,0.5,0.5)", "['a']", "{1:2}", "é", "\udcff", "a\nb", "((((" * 200, "__import__('os')",
)  # fmt: skip
BODIES = (
    "", "def get_config(): return None", "def get_config(variant=''): return {'name': 'x'}",
    "def get_config(): return 3", "def get_config(): raise RuntimeError('no\\nsuch')",
    "def get_config(): raise KeyError", "def get_config(): raise SystemExit(7)",
    "def get_config(): return get_config()", "get_config = 5", "def get_config(a, b): pass",
    "def (", "import nothing_like_it", "1 / 0", "raise SystemExit('x')", "\0", "\t\n x = 1",
    "from ml_collections import ConfigDict\ndef get_config():\n c = ConfigDict()\n c.name = 3\n"
    " return c",
    "from fakd_jax.configs.fakd import *",
)  # fmt: skip


def _keys(config: ConfigDict, prefix: str = "") -> list[str]:
    found = []
    for key, value in config.items():
        found.append(f"{prefix}{key}")
        if isinstance(value, ConfigDict):
            found += _keys(value, f"{prefix}{key}.")
    return found


KEYS = _keys(fakd.get_config())
_STUDY_KEYS = _keys(study.get_config())


def parse_value(key: str, value: Any) -> None:
    """Sets a key to a value of any type, as a config file can, and parses the experiment."""
    config = fakd.get_config()
    group, _, name = key.rpartition(".")
    owner = config[group] if group else config
    with owner.ignore_type(), owner.unlocked():
        try:
            owner[name] = value
        except (OverflowError, TypeError, ValueError):  # ml_collections refuses some itself
            return
    with only_user_errors():
        parse(config)


def parse_flags(name: str, flags: list[str]) -> None:
    """Parses a command line of a packaged config."""
    with only_user_errors():
        config, _ = parse_config_flags([f"--config={name}", *flags], "fakd", "fuzzed")
        if name != "study":
            parse(config)


def parse_file(content: bytes) -> None:
    """Loads a config file with this content and parses it."""
    with scratch() as folder:
        (folder / "mine.py").write_bytes(content)
        with only_user_errors():
            config, _ = parse_config_flags([f"--config={folder / 'mine.py'}"], "fakd", "fuzzed")
            parse(config)


@st.composite
def _flags(draw: Callable[..., Any]) -> tuple[str, list[str]]:
    name, keys = draw(st.sampled_from((("fakd", KEYS), ("kd", KEYS), ("study", _STUDY_KEYS))))
    text = st.sampled_from(TEXTS) | st.text(max_size=8)
    flag = st.tuples(st.sampled_from(keys), text).map(lambda pair: f"--config.{pair[0]}={pair[1]}")
    return name, draw(st.lists(flag | text, max_size=3))


_values = st.sampled_from(VALUES) | st.integers() | st.floats() | st.text(max_size=8)
_cases = st.one_of(
    st.tuples(st.just(parse_value), st.tuples(st.sampled_from(KEYS), _values)),
    st.tuples(st.just(parse_flags), _flags()),
    st.tuples(st.just(parse_file), st.tuples(st.sampled_from(BODIES).map(str.encode))),
    st.tuples(st.just(parse_file), st.tuples(st.binary(max_size=40))),
)


@settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(_cases)
def _property(case: tuple[Callable[..., None], tuple[Any, ...]]) -> None:
    case[0](*case[1])


def seeds() -> list[bytes]:
    """Bytes of which Hypothesis makes its choices."""
    check(bytes(64))  # Hypothesis draws up its tables of characters
    return [bytes((5 * number * k) % 256 for k in range(64)) for number in range(20)]


def check(data: bytes) -> None:
    """Lets Hypothesis make a config of these bytes, and parses it."""
    _property.hypothesis.fuzz_one_input(data)
