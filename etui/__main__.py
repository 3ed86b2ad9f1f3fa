"""The `etui` command: without arguments the terminal UI, otherwise the headless command line."""

from __future__ import annotations

import sys


def main() -> None:
    """Start the command line; the console script and ``python -m etui`` both come here."""
    try:
        from etui.cli.main import cli
    except KeyboardInterrupt:
        # Ctrl-C before there is a command line that could handle it.
        sys.exit(130)
    except ImportError as error:
        sys.stderr.write(f"etui: {error}; the installation is not whole: install etui again\n")
        sys.exit(3)
    cli()


if __name__ == "__main__":
    main()
