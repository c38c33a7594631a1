"""A local web page for a trained network: `fakd serve --checkpoint DIR`."""

from __future__ import annotations

import os
import secrets
from urllib.parse import urlencode

from fakd_jax.cli.checkpoint_flags import CHECKPOINT
from fakd_jax.cli.runner import CommandParser, integer, run_command, use_compilation_cache
from fakd_jax.errors import UserError

HTTP_PORT = 80
LOCAL = ("127.0.0.1", "localhost", "::1")
TOKEN_VARIABLE = "FAKD_TOKEN"


def make_parser() -> CommandParser:
    """The flags of `fakd serve`."""
    parser = CommandParser(
        prog="fakd serve",
        description="Serves a web page on which one drops an image and sees the network's answer "
        "and what speaks for it, and the same in JSON (POST /predict, POST /explain). Nothing that "
        "is sent is stored or logged. Research software: not for diagnosis.",
    )
    add = parser.add_argument
    add("--checkpoint", required=True, help=CHECKPOINT)
    host = "address to listen on; any but this machine's own needs a token [127.0.0.1]"
    add("--host", default="127.0.0.1", help=host)
    add("--port", type=integer(1, 65_535), default=8000, help="[8000]")
    token = f"that requests must have; {TOKEN_VARIABLE} in the environment keeps it out of `ps`"
    add("--token", metavar="TOKEN", help=token)
    add("--max-megabytes", type=integer(1), default=32, metavar="N", help="of one request [32]")
    pixels = "of one image, in millions of pixels [25]"
    add("--max-megapixels", type=integer(1), default=25, metavar="N", help=pixels)
    add("--max-requests", type=integer(1), default=32, metavar="N", help="at once [32]")
    return parser


def main(argv: list[str]) -> None:
    """Serves until it is interrupted."""
    flags = make_parser().parse_args(argv)
    from fakd_jax.runtime.extras import import_extra

    uvicorn = import_extra("uvicorn", "serve", "the server")
    for module in ("fastapi", "python_multipart", "prometheus_client"):
        import_extra(module, "serve", "the server")
    use_compilation_cache()
    from fakd_jax.serving.answers import Service
    from fakd_jax.serving.app import create_app
    from fakd_jax.serving.limits import Limits

    token, hosts = choose_access(flags.host, flags.port, flags.token)
    service = Service.open(flags.checkpoint)
    millions = 1_000_000
    limits = Limits(
        flags.max_megabytes * millions, flags.max_megapixels * millions, flags.max_requests
    )
    app = create_app(service, limits=limits, hosts=hosts, token=token)
    print(f"serving {service.predictor.arch}: compiling …", flush=True)
    service.warm_up()
    query = f"/?{urlencode({'token': token})}" if token else "/"
    shown = f"[{flags.host}]" if ":" in flags.host else flags.host
    print(f"open http://{shown}:{flags.port}{query} (Ctrl-C ends it)", flush=True)
    config = uvicorn.Config(
        app, host=flags.host, port=flags.port, log_level="warning", access_log=False
    )
    try:
        uvicorn.Server(config).run()
    except SystemExit as error:  # the port is taken
        raise UserError(
            f"cannot listen on {flags.host}:{flags.port}; choose another --port or --host"
        ) from error


def choose_access(host: str, port: int, token: str | None) -> tuple[str | None, frozenset[str]]:
    """The token that requests need, and the names under which the server may be reached.

    On this machine alone no token is needed, and only its own names are answered: a page of
    another site cannot reach it by a name of that site. Elsewhere there is always a token.
    """
    token = token or os.environ.get(TOKEN_VARIABLE) or None
    if host not in LOCAL:
        return token or secrets.token_urlsafe(24), frozenset()
    own = ("127.0.0.1", "localhost", "[::1]")
    names = {f"{name}:{port}" for name in own}
    if port == HTTP_PORT:  # browsers leave it out
        names |= {*own}
    return token, frozenset(names)


if __name__ == "__main__":
    run_command(main)
