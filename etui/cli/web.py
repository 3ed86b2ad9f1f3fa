"""``etui web``: the screen in a web browser."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import click

from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.errors import UsageError

if TYPE_CHECKING:
    from etui.web.server import Listening

_PORT = 8000


@click.command(
    epilog=examples("etui web", "etui web --port 9000", "etui --db team.db web")
    + "\n\n\b\nThe screen of a remote machine, through a tunnel:\n"
    "  ssh -t -L 8000:127.0.0.1:8000 bench etui web\n"
    "and open the printed address in the browser here."
)
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True,
              help="Address to listen on; one that is not loopback is open to other machines.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), metavar="PORT", default=_PORT, show_default=True,
              help="Port to listen on; 0 is any free port.")  # fmt: skip
@click.pass_obj
def web(settings: Settings, host: str, port: int) -> None:
    """Serve the screen to a web browser on this machine, until Ctrl-C. Needs the package textual-serve.

    The printed address contains a random key: who opens it can do everything that you can do on the screen, including
    running models and the code of FILE.py models. Each tab is a separate screen on the same database. When a tab is
    closed or loaded again, runs go on.
    """
    try:
        from etui.web.server import app_arguments, serve_until_signal
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "etui":
            raise
        raise UsageError(
            f"etui web needs the package textual-serve ({error.name} is not installed)",
            "install it with: pip install textual-serve",
        ) from error

    def started(at: Listening) -> None:
        if at.is_public:
            click.echo(
                f"etui: warning: other machines can reach port {at.port}, without TLS and without authentication other"
                " than the key in the address: anyone who sees it can run models and the code of FILE.py models as this"
                f" user; better use --host 127.0.0.1 and ssh -L {at.port}:127.0.0.1:{at.port} {socket.gethostname()}",
                err=True,
            )
        click.echo(at.address)
        click.echo("etui: open this address in a browser; Ctrl-C stops", err=True)

    serve_until_signal(app_arguments(settings.database), host, port, started)
