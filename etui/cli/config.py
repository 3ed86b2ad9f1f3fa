"""`etui config`: the path of the configuration file, and every setting with its value and description."""

from __future__ import annotations

import click

from etui.cli.lazy_group import examples


@click.group(epilog=examples("etui config path", "etui config show > ~/.config/etui/config.toml"))
def config() -> None:
    """Show the settings and keys of the terminal UI."""


@config.command()
def path() -> None:
    """Print the path of the configuration file, even if it does not exist."""
    from etui.config import config_path

    click.echo(config_path())


@config.command()
def show() -> None:
    """Print every current setting as TOML, with a description."""
    from etui.actions import ACTIONS, BY_ID
    from etui.config import config_path, load
    from etui.config_text import as_toml

    loaded = load(config_path(), frozenset(BY_ID))
    for notice in loaded.notices:
        click.echo(f"etui: {notice}", err=True)
    click.echo(
        as_toml(loaded.config, [(action.id, ",".join(action.keys), action.about) for action in ACTIONS]), nl=False
    )
