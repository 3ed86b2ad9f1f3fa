"""Completion in bash, zsh and fish of words that Click's own support does not complete: ``--precision=int8`` and
``fp32,int8``."""

from __future__ import annotations

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)


class _Bash(BashComplete):
    """Bash passes ``--option=value`` as three words."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words of the line without those equals signs, and the last, incomplete word."""
        words, incomplete = super().get_completion_args()
        pairs = zip(["", *words], words, strict=False)
        return [word for before, word in pairs if not (word == "=" and before.startswith("--"))], incomplete


class _WholeWord(ShellComplete):
    """Zsh and fish replace the whole word ``--option=value``."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return the suggestions, with the name of the option if it is in the same word."""
        items = super().get_completions(args, incomplete)
        option, equals, _ = incomplete.partition("=")
        if equals and option.startswith("--"):
            for item in items:
                item.value = f"{option}={item.value}"
        return items


class _Zsh(_WholeWord, ZshComplete):
    """Click's, with whole words."""


class _Fish(_WholeWord, FishComplete):
    """Click's script takes the text up to the first comma for the value."""

    source_template = FishComplete.source_template.replace('string split ","', 'string split --max 1 ","')


def register() -> None:
    """Use these instead of Click's own."""
    for kind in (_Bash, _Zsh, _Fish):
        add_completion_class(kind)
