"""The `etui` command: without arguments the terminal UI, otherwise the headless command line."""

from __future__ import annotations


def main() -> None:
    """Start the command line; the console script and ``python -m etui`` both come here."""
    from etui.cli.main import cli

    cli()


if __name__ == "__main__":
    main()
