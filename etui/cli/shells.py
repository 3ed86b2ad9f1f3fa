"""Completion in bash, zsh and fish of words that Click's own support does not complete: ``--precision=int8``,
``fp32,int8``, ``model:resnet18`` and ``@name``."""

from __future__ import annotations

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

_MARKS = (":", "=", "@")
"""Characters at which bash divides words."""


class _Bash(BashComplete):
    """Bash passes ``--option=value`` as three words, and ``key:value`` and ``@name`` as separate words too, of which it
    completes the last one."""

    source_template = BashComplete.source_template.replace(
        "    return 0\n",
        "    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *: ]] && compopt -o nospace 2>/dev/null\n    return 0\n",
        1,
    )
    _before = ""
    """The part of the incomplete word that bash keeps."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words of the line as they are written, and the last, incomplete word."""
        words, incomplete = super().get_completion_args()
        pairs = list(zip(["", *words], [*words, incomplete], strict=True))
        parts = [word for before, word in pairs[:-1] if not (word == "=" and before.startswith("--"))]
        if pairs[-1][0].startswith("--") and incomplete == "=":
            return parts, incomplete
        whole: list[str] = []
        continues = False
        for part in (*parts, incomplete):
            is_mark = part in (":", "=") and bool(whole)
            if is_mark or (continues and part):
                whole[-1] += part
            else:
                whole.append(part)
            continues = is_mark or part == "@"
        last = whole.pop()
        self._before = last if incomplete in _MARKS else last[: len(last) - len(incomplete)]
        return whole, last

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return the suggestions without what bash keeps."""
        items = super().get_completions(args, incomplete)
        for item in items:
            item.value = item.value.removeprefix(self._before)
        return items


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
