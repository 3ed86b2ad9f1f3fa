"""``etui completion``: the script that makes a shell complete etui's command lines."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Literal

import click

from etui.cli.lazy_group import COMPLETE_VARIABLE, examples
from etui.errors import UsageError

Shell = Literal["bash", "zsh", "fish"]
SHELLS: tuple[Shell, ...] = ("bash", "zsh", "fish")


@click.command(
    epilog=examples("etui completion bash", "etui completion           for the shell in $SHELL")
    + "\n\n\b\nInstall it once, then start a new shell:\n"
    "  bash   etui completion bash > ~/.local/share/bash-completion/completions/etui\n"
    "         (with the package bash-completion; otherwise add to ~/.bashrc:\n"
    '         eval "$(etui completion bash)")\n'
    "  zsh    add to ~/.zshrc, after compinit:\n"
    '         eval "$(etui completion zsh)"\n'
    "  fish   etui completion fish > ~/.config/fish/completions/etui.fish"
)
@click.argument("shell", type=click.Choice(SHELLS), required=False, metavar="[bash|zsh|fish]")
def completion(shell: Shell | None) -> None:
    """Print the script that completes commands, options, models, precisions, delegates, presets, run ids and tags with
    Tab."""
    from click.shell_completion import get_completion_class

    from etui.cli import shells
    from etui.cli.main import cli

    if shell is None:
        name = PurePath(os.environ.get("SHELL", "")).name
        if name not in SHELLS:
            raise UsageError(
                f"there is no completion for the shell {name!a}" if name else "the variable SHELL is not set",
                "name a shell: etui completion bash",
            )
        shell = name
    shells.register()
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(cli, {}, "etui", COMPLETE_VARIABLE)
    # Not script.source(), which starts bash to check its version.
    click.echo(script.source_template % script.source_vars())
