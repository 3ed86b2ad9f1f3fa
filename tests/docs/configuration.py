"""The page of settings: the configuration file, environment variables, and the process settings kept with a run."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import etui
from etui.config import ABOUT, Config
from etui.config_text import as_toml
from etui.host import process_settings
from etui.runner import machine_lock, program_cache, settings
from etui.spec import DEFAULT_WAIT_QUIET_MIN
from etui.tui.runs_columns import COLUMNS
from tests.docs.markdown import block, code, make_page, table

VARIABLES = {
    "ETUI_DB": "The database file; `--db FILE` overrides it. Default: `etui/etui.db` in the user's data folder.",
    "ETUI_CACHE": "The folder of the program cache (programs, models, inputs). Default: the user's cache folder,"
    " `etui/`.",
    "ETUI_CACHE_GB": "The largest size of the program cache in gigabytes"
    f" ({program_cache.DEFAULT_CAP_BYTES / 1000**3:g} by default).",
    "ETUI_STATE": "The folder of the runners' own logs and of results that could not be stored yet. Default: the user's"
    " state folder, `etui/`.",
    "ETUI_CONFIG": "The configuration file, or a folder with a `config.toml`. Default: the user's configuration"
    " folder.",
    "ETUI_WAIT_QUIET": "Minutes to wait at most for other programs to leave the cores alone before the first block; the"
    " default of `--wait-quiet` for every front end"
    f" ({DEFAULT_WAIT_QUIET_MIN:g} if it is not set).",
    "ETUI_WAIT_MACHINE": "Minutes a session waits at most for the machine lock"
    f" ({machine_lock.DEFAULT_WAIT_MIN:g} by default).",
    "ETUI_LINGER_S": f"Seconds the runner stays alive after its last session ({settings.LINGER_S:g} by default).",
    "ETUI_SAVE_PATIENCE_S": "Seconds a session that has ended waits for a database that cannot be written, before its"
    f" results are put into a file ({settings.PATIENCE_S:g} by default).",
    "ETUI_LITERT_PYTHON": "The Python of an environment with litert-torch, which converts models for the baseline"
    " `litert`; `--litert-python` overrides it. Default: etui's own, if litert-torch is installed there.",
    "ETUI_NPU_ENV": "The Python environment with the tools for Arm Ethos-U, for `etui predict`; `--env` overrides it."
    " Default: `etui/npu-env` in the user's data folder.",
    "ETUI_PREPARE_JOBS": "The number of programs prepared at the same time. Default: one per usable core, as far as the"
    " memory goes.",
    "ETUI_BOX_LOCK": "The machine lock; only for etui's own tests.",
}
"""What each environment variable does; a test checks that none is missing."""


def variables_in_code() -> set[str]:
    """The names of all environment variables of etui's own that its source names and users set: ``_ETUI_COMPLETE`` is
    set by the script for completion."""
    folder = Path(etui.__file__).parent
    return {name for path in folder.rglob("*.py") for name in re.findall(r"\bETUI_[A-Z_]+", path.read_text("utf-8"))}


def page() -> str:
    """The text of ``docs/reference/configuration.md``."""
    return make_page(
        "Configuration",
        "## Configuration file",
        "`etui config path` prints where the file is, `etui config show` prints every setting and key with its current"
        " value as TOML; its output can be saved as the file. A mistake in the file gives a notice and the default.",
        table(("setting", "type", "default", "meaning"), [_setting(name) for name in Config.__struct_fields__]),
        "The file with its defaults, without the keys ([all keys](keys.md)):",
        block(as_toml(Config(), ()), "toml"),
        "Without color (`NO_COLOR` set) no meaning is lost. A terminal without UTF-8 is drawn with ASCII.",
        "### Columns of the runs table",
        "The names for `columns`; on the screen `v` selects and orders them.",
        table(("name", "title", "meaning"), [(code(one.name), one.title, one.about) for one in COLUMNS]),
        "## Environment variables",
        table(("variable", "meaning"), [(code(name), about) for name, about in VARIABLES.items()]),
        "[What etui guarantees](../guarantees.md) says what is in the database, the cache and the state folder.",
        "## Process settings kept with a run",
        "A runner that is still alive takes a session only if it would measure it as a new process of yours would: same"
        " etui, Python environment and cache, same nice level, CPU affinity, CPU quota and resource limits, and the"
        " same values of the environment variables below. Otherwise the session gets its own runner and workers. After"
        " `pip install` of a package that measuring needs, the runner is restarted before the next session; a session"
        " during which that happens fails.",
        table(
            ("environment variables", "effect"),
            [
                (
                    _names(process_settings.SPEED_VARIABLES),
                    "They can change numbers or speed: `etui compare` refuses runs of different sessions that differ in"
                    " one.",
                ),
                (
                    _names(process_settings.PLACE_VARIABLES),
                    "They decide which files are found. What was found has a hash or a version, and that is compared.",
                ),
            ],
        ),
        "Both are stored with the run, with the nice level and the CPU affinity (`etui show RUN`). Names with `TOKEN`,"
        " `SECRET`, `KEY`, `PASSW`, `CREDENTIAL` or `AUTH` in them are not stored, and user names and passwords within"
        " addresses are masked. Every worker has fixed values of these:",
        table(
            ("variable", "value"),
            [(code(name), code(value)) for name, value in process_settings.FIXED_VARIABLES.items()],
        ),
    )


def _setting(name: str) -> tuple[str, str, str, str]:
    default = getattr(Config(), name)
    shown = "unset" if default is None else code(repr(default)) if default or isinstance(default, bool) else "empty"
    return code(name), code(inspect.get_annotations(Config)[name]), shown, ABOUT[name]


def _names(names: tuple[str, ...]) -> str:
    return " ".join(map(code, names))
