"""Where each piece of a program comes from in its model: a small file beside the program, written when it is lowered.

A profile names instructions and, within a subgraph, a backend's own operators; this leads from them to the source.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from etui.insight import Origin

SOURCE_MAP = "sources.json"
ETRECORD = "program.etrecord"
"""What ExecuTorch's own tools read beside an ETDump; made on request only, for it holds the graphs of all stages."""


class Subgraph(msgspec.Struct, frozen=True, kw_only=True):
    """One delegated subgraph: the instruction that calls it, its backend, and the nodes it was made of.

    ``origins`` number all it was made of, once each. ``nodes`` are what the backend's file has, in its order: the kind
    of each and the number of its origin (None where that was lost); empty where that file is not read.
    """

    instruction: int
    backend: str
    origins: list[int]
    nodes: list[tuple[str, int | None]] = []


class SourceMap(msgspec.Struct, frozen=True, kw_only=True):
    """``instructions`` gives the number in ``origins`` of each instruction outside of delegates."""

    origins: list[Origin]
    instructions: dict[int, int]
    subgraphs: list[Subgraph]


def write_source_map(found: SourceMap, folder: Path) -> None:
    """Write the map into a program's folder, which must not be in use yet. Raises OSError."""
    (folder / SOURCE_MAP).write_bytes(msgspec.json.encode(found))


def read_source_map(folder: Path) -> SourceMap | None:
    """The map in a program's folder; None where there is none, or it cannot be read."""
    try:
        return msgspec.json.decode((folder / SOURCE_MAP).read_bytes(), type=SourceMap)
    except (OSError, msgspec.MsgspecError):
        return None
