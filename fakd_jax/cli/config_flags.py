"""`--config NAME_OR_FILE[:variant]` with `--config.KEY=VALUE` overrides."""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import importlib.util
import logging
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from fakd_jax import configs
from fakd_jax.cli.runner import CommandParser
from fakd_jax.errors import UserError

_EPILOG = """\
--config.KEY=VALUE changes one key, for example --config.seed=1 or --config.data.source=DIR. The
config files document their keys.

packaged configs:
{configs}

Each also has a small variant, for example fakd:phantom, which runs on synthetic MRI in minutes and
downloads nothing. A config file of your own defines get_config(variant=""); it may start from a
packaged one: from fakd_jax.configs import fakd."""


def parse_config_flags(argv: list[str], program: str, description: str) -> tuple[ConfigDict, Path]:
    """Parses the flags of a command that runs a config and has no flags of its own.

    Args:
      argv: arguments after the program's name.
      program: name of the command, for messages.
      description: what the command does, for `--help`.

    Returns:
      The locked config with its overrides, and the workdir (default: `runs/<name>[-variant]`).

    Raises:
      UserError: no such config or variant, an unknown key, a value of the wrong type, other flags.
    """
    parser = config_parser(program, description)
    return read_config(parser, *parser.parse_known_args(argv))


def config_parser(program: str, description: str) -> CommandParser:
    """A parser of `--config` and `--workdir`, to which a command may add flags of its own."""
    parser = CommandParser(
        program,
        usage="%(prog)s --config NAME_OR_FILE[:variant] [--workdir DIR] [--config.KEY=VALUE ...]",
        description=description,
        epilog=_EPILOG.format(configs="\n".join(_descriptions())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", help="a packaged config or a file, e.g. fakd or configs/fakd.py"
    )
    parser.add_argument(
        "--workdir",
        type=Path,
        help="where results are written and an interrupted run is resumed from "
        "(default: runs/<name of the config>[-variant])",
    )
    return parser


def read_config(
    parser: CommandParser, arguments: argparse.Namespace, overrides: list[str]
) -> tuple[ConfigDict, Path]:
    """The config and workdir that a :func:`config_parser` has parsed.

    Args:
      parser: for messages.
      arguments: the parsed flags.
      overrides: the others, `--config.KEY=VALUE`.

    Returns:
      As :func:`parse_config_flags`.

    Raises:
      UserError: likewise.
    """
    if arguments.config is None:
        parser.error("--config is missing")
    target, _, variant = arguments.config.partition(":")
    with _one_line_errors(parser), _own_code(target):
        config = load_config_module(target).get_config(*([variant] if variant else []))
    if not isinstance(config, ConfigDict):
        parser.error(f"get_config of {target} must return a ConfigDict, not {config!r:.40}")
    override(parser, config, overrides)
    name = str(config.get("name", Path(target).stem))
    return config, arguments.workdir or Path("runs", "-".join(filter(None, (name, variant))))


def override(parser: CommandParser, config: ConfigDict, overrides: list[str]) -> None:
    """Applies `--config.KEY=VALUE` flags to a config, and locks it.

    Args:
      parser: for messages.
      config: changed in place.
      overrides: the flags.

    Raises:
      UserError: an unknown key, a value of the wrong type, or other flags.
    """
    with _one_line_errors(parser):
        _override(config, overrides)


@contextmanager
def _one_line_errors(parser: CommandParser) -> Iterator[None]:
    """Turns what configs and their flags raise into one-line errors."""
    try:
        yield
    except (flags.Error, AttributeError, LookupError, ValueError, TypeError, OSError) as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        parser.error(" ".join(str(message).split()))


@contextmanager
def _own_code(target: str) -> Iterator[None]:
    """Reports in one line how a user's config file fails."""
    try:
        yield
    except (UserError, flags.Error, AttributeError, LookupError, ValueError, TypeError, OSError):
        raise  # their words are enough
    except (Exception, SystemExit) as error:
        raise UserError(
            f"the config {target} cannot be run ({type(error).__name__}: "
            f"{' '.join(str(error).split())}); mend it"
        ) from error


def _packaged() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(configs.__path__)]


def _descriptions() -> Iterator[str]:
    for name in _packaged():
        doc = importlib.import_module(f"{configs.__name__}.{name}").__doc__ or ""
        yield f"  {name:14}{doc.partition(chr(10))[0]}"


def load_config_module(target: str) -> ModuleType:
    """Imports a packaged config by its name, or a config file by its path.

    Raises:
      UserError: there is no such config, or the file is not Python.
    """
    if target in _packaged():
        return importlib.import_module(f"{configs.__name__}.{target}")
    file = Path(target)
    if not file.is_file():
        raise UserError(
            f"there is no config {target!r}; give a file or one of {', '.join(_packaged())}"
        )
    # As for a script, modules beside the file and packages beside its folder can be imported.
    folder = file.resolve().parent
    sys.path += [path for path in (str(folder), str(folder.parent)) if path not in sys.path]
    spec = importlib.util.spec_from_file_location("config_file", file)
    if spec is None or spec.loader is None:
        raise UserError(f"the config {target} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _override(config: ConfigDict, overrides: list[str]) -> None:
    """Applies `--config.KEY=VALUE` and `--config.KEY VALUE`, and locks the config."""
    known = dict(_values(config, "config"))
    for argument in overrides:
        key = argument.lstrip("-").partition("=")[0]
        if argument.startswith("-") and key.startswith("config.") and key not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.75)
            hint = f"did you mean {nearest[0]}?" if nearest else "the config file has all keys"
            raise UserError(f"there is no {key}; {hint}")
    # absl logs a key it cannot parse before it raises; the exception's message is enough.
    logging.getLogger("absl").setLevel(logging.FATAL)
    values = flags.FlagValues()
    argv = ["", *_quote_lists(known, overrides)]
    config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
    if unexpected := values(argv)[1:]:
        raise ValueError(f"unexpected argument {unexpected[0]!r}")


def _quote_lists(values: dict[str, Any], overrides: list[str]) -> Iterator[str]:
    """Quotes the words of lists, as in `kd:student,fakd:student`: ml_collections reads Python.

    Python stays as it is; an empty text is an empty list.
    """
    arguments = iter(overrides)
    for argument in arguments:
        flag, separator, text = argument.partition("=")
        if isinstance(values.get(flag.lstrip("-")), tuple):
            value = text if separator else next(arguments, None)
            argument = flag if value is None else f"{flag}={_words(value)!r}"
        yield argument


def _words(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return tuple(word.strip() for word in text.split(",") if word.strip())


def _values(config: ConfigDict, prefix: str) -> Iterator[tuple[str, Any]]:
    """All dotted names, groups included, and their values."""
    for key, value in config.items():
        yield f"{prefix}.{key}", value
        if isinstance(value, ConfigDict):
            yield from _values(value, f"{prefix}.{key}")
