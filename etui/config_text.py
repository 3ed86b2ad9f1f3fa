"""The settings as a commented TOML text that can be saved as the config file."""

from __future__ import annotations

from collections.abc import Iterable

from etui.config import ABOUT, Config


def as_toml(config: Config, actions: Iterable[tuple[str, str, str]]) -> str:
    """Every setting with its sentence; ``actions`` are (id, default keys, sentence). What is a default is a comment."""
    lines = [
        f"# {ABOUT['theme']}",
        f"theme = {_quoted(config.theme)}",
        "",
        f"# {ABOUT['columns']}",
        f"columns = [{', '.join(map(_quoted, config.columns))}]",
        "",
        f"# {ABOUT['ascii']}",
        "# ascii = true" if config.ascii is None else f"ascii = {str(config.ascii).lower()}",
        "",
        f"# {ABOUT['keys']}",
        "[keys]",
    ]
    for name, keys, about in actions:
        own = config.keys.get(name)
        setting = f"{_quoted(name)} = {_quoted(own or keys)}"
        lines.append(f"{setting if own else '# ' + setting:<44}  # {about}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    # TOML takes control characters in no other way.
    escaped = "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in escaped)
    return f'"{escaped}"'
