"""`--config FILE[:variant] --config.key=value`, with every mistake told in one line."""

from __future__ import annotations

import difflib
import logging
import sys
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from fakd_jax.errors import UserError


def parse_config_flags(
    argv: list[str], program: str, description: str
) -> tuple[ConfigDict, Path | None]:
    """Reads the flags of a door that runs a config.

    Args:
      argv: arguments after the program's name.
      program: its name, for messages.
      description: what it does, for `--help`.

    Returns:
      The locked config with its overrides, and `--workdir` (None if it was not given).

    Raises:
      UserError: no such file or variant, an unknown key, a value of another type, other flags.
    """
    if any(argument in ("-h", "--help") for argument in argv):
        print(f"{program}: {description}\n\n{_USAGE.format(program=program)}")
        sys.exit(0)
    _make_siblings_importable(_config_file(argv))
    # absl logs a failed key before it raises; the raised text is what we print.
    logging.getLogger("absl").setLevel(logging.FATAL)
    plain, keys = _without_overrides(argv)
    _require_known_keys(_parse(plain, program)[0], keys)
    return _parse(argv, program)


def _without_overrides(argv: list[str]) -> tuple[list[str], list[str]]:
    """Takes `--config.key=value` and `--config.key value` out; returns the rest and the keys."""
    plain, keys, rest = [], [], list(argv)
    while rest:
        argument = rest.pop(0)
        name, equals, _ = argument.lstrip("-").partition("=")
        if not (argument.startswith("-") and name.startswith("config.")):
            plain.append(argument)
            continue
        keys.append(name)
        if not equals and rest:
            rest.pop(0)
    return plain, keys


def _parse(argv: list[str], program: str) -> tuple[ConfigDict, Path | None]:
    """Lets absl and ml_collections read the flags, their complaints turned into a UserError."""
    values = flags.FlagValues()
    full = [program, *argv]
    config_flag = config_flags.DEFINE_config_file(
        "config", lock_config=True, flag_values=values, sys_argv=full
    )
    flags.DEFINE_string("workdir", None, "folder of the run", flag_values=values)
    try:
        rest = values(full)[1:]
    except (flags.Error, AttributeError, KeyError, ValueError, TypeError, OSError) as error:
        raise UserError(f"{_one_line(error)} (see {program} --help)") from error
    if rest:
        raise UserError(f"unexpected argument {rest[0]!r} (see {program} --help)")
    return config_flag.value, Path(values.workdir) if values.workdir else None


def _require_known_keys(config: ConfigDict, keys: list[str]) -> None:
    """Raises if a key is none of the config's, with the nearest one that is."""
    known = [f"config.{key}" for key in _keys(config)]
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.75)
            hint = f"did you mean {near[0]}?" if near else "the config file has all keys"
            raise UserError(f"there is no {key}; {hint}")


def _keys(config: ConfigDict) -> list[str]:
    """The dotted names of all keys, groups included."""
    names = []
    for name in config:
        names.append(name)
        if isinstance(config[name], ConfigDict):
            names += [f"{name}.{inner}" for inner in _keys(config[name])]
    return names


_USAGE = """usage: {program} --config FILE[:variant] [--workdir DIR] [--config.KEY=VALUE]

  --config FILE        an experiment, e.g. configs/fakd.py; configs/fakd.py:phantom is a small
                       synthetic run with nothing to download
  --workdir DIR        where everything is written and from where an interrupted run goes on
                       (default: runs/<name of the config>[-variant])
  --config.KEY=VALUE   changes a key, e.g. --config.seed=1 --config.data.source=DIR; the keys and
                       their meanings are in the config file"""


def _config_file(argv: list[str]) -> Path:
    """The file that `--config` names, which must exist."""
    for index, argument in enumerate(argv):
        name, _, value = argument.lstrip("-").partition("=")
        if name == "config" and argument.startswith("-"):
            value = value or (argv[index + 1] if index + 1 < len(argv) else "")
            file = Path(value.partition(":")[0])
            if not file.is_file():
                raise UserError(f"no config file {str(file)!r}; take one of configs/")
            return file
    raise UserError("--config FILE is needed, e.g. --config configs/fakd.py:phantom")


def _make_siblings_importable(config_file: Path) -> None:
    """Lets `configs/kd.py` import `configs.fakd`, from whichever folder the door is started."""
    root = str(config_file.resolve().parent.parent)
    if root not in sys.path:
        sys.path.insert(0, root)


def _one_line(error: Exception) -> str:
    """An exception's own words, on one line."""
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return " ".join(str(text).split())


def default_workdir(config: ConfigDict, argv: list[str]) -> Path:
    """Returns `runs/<name>[-variant]`."""
    variant = next(
        (
            argument.rpartition(":")[2]
            for argument in argv
            if ".py:" in argument and not argument.startswith("--config.")
        ),
        "",
    )
    return Path("runs") / "-".join(filter(None, (config.name, variant)))
