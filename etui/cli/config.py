"""`etui config`: where the config file is, and every setting with its value and a sentence."""

from __future__ import annotations

import click

from etui.cli.lazy_group import examples


@click.group(epilog=examples("etui config path", "etui config show > ~/.config/etui/config.toml"))
def config() -> None:
    """Show the settings and keys of the terminal UI."""


@config.command()
def path() -> None:
    """Print the config file's path, whether or not it is there."""
    from etui.config import config_path

    click.echo(config_path())


@config.command()
def show() -> None:
    """Print every setting as TOML: what holds now, with a sentence for each."""
    from etui.actions import ACTIONS, BY_ID
    from etui.config import config_path, load
    from etui.config_text import as_toml

    loaded = load(config_path(), frozenset(BY_ID))
    for notice in loaded.notices:
        click.echo(f"etui: {notice}", err=True)
    click.echo(
        as_toml(loaded.config, [(action.id, ",".join(action.keys), action.about) for action in ACTIONS]), nl=False
    )
