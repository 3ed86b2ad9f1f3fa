"""The configuration file: theme, keys and columns; an invalid setting gives a notice and its default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

from etui.formats.toml_text import read_table
from etui.paths import APP, absolute
from etui.text import plain

_MOST_SHOWN = 60

ThemeName = Literal["etui-dark", "etui-light", "etui-contrast"]


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All settings with their defaults. ``ABOUT`` describes each."""

    theme: ThemeName = "etui-dark"
    keys: dict[str, str] = {}
    columns: tuple[str, ...] = ()
    ascii: bool | None = None
    bell: bool = True
    desktop_notification: bool = True
    terminal_title: bool = True


ABOUT: dict[str, str] = {
    "theme": "Theme: etui-dark, etui-light or etui-contrast.",
    "keys": "Keys by action id (`etui config show` lists them), separated by commas, such as 'j,down'.",
    "columns": "Columns of the runs table, in order; empty: the usual columns that fit.",
    "ascii": "Draw with ASCII only; unset: decided by the locale.",
    "bell": "Ring the terminal's bell when a session ends.",
    "desktop_notification": "Send a desktop notification when a session ends, if the terminal can (OSC 9 or 99).",
    "terminal_title": "Show the progress and the result of a session in the terminal's title.",
}


class LoadedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that were read, and a notice for each part of the file that was not accepted."""

    config: Config = Config()
    notices: tuple[str, ...] = ()


def config_path() -> Path:
    """Return the configuration file: ``ETUI_CONFIG`` (a file, or a folder with config.toml), else in the user's
    configuration folder.

    Raises UsageError if ETUI_CONFIG is not a valid path.
    """
    given = os.environ.get("ETUI_CONFIG")
    if given:
        path = absolute(given, "ETUI_CONFIG")
        return path / "config.toml" if os.path.isdir(path) else path  # noqa: PTH112 - Path.is_dir raises
    import platformdirs

    return Path(platformdirs.user_config_dir(APP, appauthor=False)) / "config.toml"


def load(path: Path, action_ids: frozenset[str] = frozenset()) -> LoadedConfig:
    """Read the settings of a file, or the defaults if it does not exist. Never raises: each error becomes a notice.

    ``action_ids`` are the actions that ``[keys]`` may name; empty disables that check.
    """
    try:
        table = read_table(path)
    except FileNotFoundError:
        return LoadedConfig()
    except OSError as error:
        return LoadedConfig(notices=(f"{path} cannot be read ({error.strerror or error}); using the defaults",))
    except ValueError as error:
        return LoadedConfig(notices=(f"{path} is not TOML ({_shown(str(error))}); using the defaults",))
    notices = []
    taken: dict[str, object] = {}
    for name, value in table.items():
        if name not in Config.__struct_fields__:
            known = ", ".join(Config.__struct_fields__)
            notices.append(f"{path.name}: unknown setting {_shown(repr(name))}; one of {known}")
            continue
        try:
            msgspec.convert({name: value}, Config)
            taken[name] = value
        except (msgspec.ValidationError, RecursionError) as error:
            notices.append(
                f"{path.name}: {name} = {_written(value)} is not valid ({_shown(str(error), 200)}); using the default"
            )
    config = msgspec.convert(taken, Config)
    unknown = [name for name in config.keys if action_ids and name not in action_ids]
    if unknown:
        notices += [
            f"{path.name}: keys: unknown action {_shown(repr(name))}; see `etui config show`" for name in unknown
        ]
        keys = {name: key for name, key in config.keys.items() if name not in unknown}
        config = msgspec.structs.replace(config, keys=keys)
    return LoadedConfig(config=config, notices=tuple(notices))


def _written(value: object) -> str:
    """Format a value for a notice."""
    try:
        return _shown(repr(value))
    except RecursionError:
        return "a value nested too deeply"
    except ValueError:
        return "a number of too many digits"


def _shown(words: str, most: int = _MOST_SHOWN) -> str:
    """Format untrusted text for a notice: on one line and shortened."""
    words = plain(words)
    return words if len(words) <= most else f"{words[:most]}…"
