"""Messages from the inspection worker, in this order: the file was read, the available backends, the load result."""

from __future__ import annotations

import msgspec

from etui.insight import ProgramInfo


class Read(msgspec.Struct, tag="read", frozen=True, kw_only=True):
    """What the file contains."""

    info: ProgramInfo


class Here(msgspec.Struct, tag="here", frozen=True, kw_only=True):
    """Those backends that the program needs and that this machine has."""

    backends: list[str]


class LoadResult(msgspec.Struct, tag="loaded", frozen=True, kw_only=True):
    """Whether the runtime loads the program; if not, the problem and the next step."""

    loads: bool
    problem: str = ""
    hint: str = ""


class Refused(msgspec.Struct, tag="refused", frozen=True, kw_only=True):
    """Why the file cannot be read as a program; the message continues a sentence that starts with the file's name."""

    message: str
    hint: str = ""


Answer = Read | Here | LoadResult | Refused
