"""The settings as commented TOML text, usable as a configuration file."""

from __future__ import annotations

from collections.abc import Iterable

from etui.config import ABOUT, Config
from etui.formats.toml_text import quoted


def as_toml(config: Config, actions: Iterable[tuple[str, str, str]]) -> str:
    """Return all settings with descriptions; ``actions`` are (id, default keys, description). Defaults are comments."""
    lines = [
        f"# {ABOUT['theme']}",
        f"theme = {quoted(config.theme)}",
        "",
        f"# {ABOUT['columns']}",
        f"columns = [{', '.join(map(quoted, config.columns))}]",
        "",
        f"# {ABOUT['ascii']}",
        "# ascii = true" if config.ascii is None else f"ascii = {str(config.ascii).lower()}",
        *_switch("bell", config.bell),
        *_switch("desktop_notification", config.desktop_notification),
        *_switch("terminal_title", config.terminal_title),
        "",
        f"# {ABOUT['keys']}",
        "[keys]",
    ]
    for name, keys, about in actions:
        own = config.keys.get(name)
        setting = f"{quoted(name)} = {quoted(own or keys)}"
        lines.append(f"{setting if own else '# ' + setting:<44}  # {about}")
    return "\n".join(lines) + "\n"


def _switch(name: str, value: bool) -> list[str]:
    return ["", f"# {ABOUT[name]}", f"{name} = {str(value).lower()}"]
