"""The config file: a theme and keys of one's own, typed; what is wrong in it gives a notice and the default."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from etui.paths import APP

ThemeName = Literal["etui-dark", "etui-light", "etui-contrast"]


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting with its default. ``ABOUT`` has a sentence for each."""

    theme: ThemeName = "etui-dark"
    keys: dict[str, str] = {}
    columns: tuple[str, ...] = ()
    ascii: bool | None = None


ABOUT: dict[str, str] = {
    "theme": "The look: etui-dark, etui-light or etui-contrast.",
    "keys": "Keys of your own, by action id (`etui config show` lists them): several with commas, such as 'j,down'.",
    "columns": "The columns of the runs table, in their order; empty means every column there is room for.",
    "ascii": "Draw with ASCII alone; unset, the locale decides.",
}


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What was read: the settings, and a notice for each thing in the file that was not taken."""

    config: Config = Config()
    notices: tuple[str, ...] = ()


def config_path() -> Path:
    """The config file: ``ETUI_CONFIG`` (a file, or a folder with config.toml), else in the user's config folder."""
    given = os.environ.get("ETUI_CONFIG")
    if given:
        path = Path(given).expanduser().absolute()
        return path / "config.toml" if path.is_dir() else path
    import platformdirs

    return Path(platformdirs.user_config_dir(APP, appauthor=False)) / "config.toml"


def load(path: Path, action_ids: frozenset[str] = frozenset()) -> Loaded:
    """The settings of a file; of one that is not there, the defaults. Never fails: each mistake is a notice.

    ``action_ids`` are what ``[keys]`` may name; empty leaves that unchecked.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Loaded()
    except OSError as error:
        return Loaded(notices=(f"{path} cannot be read ({error.strerror}); the defaults hold",))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return Loaded(notices=(f"{path} is not TOML ({error}); the defaults hold",))
    notices = []
    taken: dict[str, object] = {}
    for name, value in table.items():
        if name not in Config.__struct_fields__:
            known = ", ".join(Config.__struct_fields__)
            notices.append(f"{path.name}: there is no setting {name!r}; one of {known}")
            continue
        try:
            msgspec.convert({name: value}, Config)
            taken[name] = value
        except msgspec.ValidationError as error:
            notices.append(f"{path.name}: {name} = {value!r} does not hold ({error}); the default does")
    config = msgspec.convert(taken, Config)
    unknown = [name for name in config.keys if action_ids and name not in action_ids]
    if unknown:
        notices += [f"{path.name}: keys: there is no action {name!r}; see `etui config show`" for name in unknown]
        keys = {name: key for name, key in config.keys.items() if name not in unknown}
        config = msgspec.structs.replace(config, keys=keys)
    return Loaded(config=config, notices=tuple(notices))
