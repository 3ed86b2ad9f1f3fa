"""The `etui` command: the terminal UI without arguments, else the command line."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def main() -> None:
    """Start the command line, for the console script and ``python -m etui``."""
    try:
        from etui.cli.main import cli
    except KeyboardInterrupt:
        # Ctrl-C before the command line can handle it.
        sys.exit(130)
    except ImportError as error:
        sys.stderr.write(f"etui: {error}; the installation is not whole: install etui again\n")
        sys.exit(3)
    cli(obj=_open_screen)


def _open_screen(database: Path) -> int:
    """Open the terminal UI with the user's config file, and return the exit status."""
    # Importing and drawing create many objects that stay; the app turns garbage collection on after its first paint.
    gc.disable()
    from etui.actions import BY_ID
    from etui.config import config_path, load
    from etui.tui.app import run

    return run(database, load(config_path(), frozenset(BY_ID)))


if __name__ == "__main__":
    main()
