"""Read the description of an exported program (``.pt2``) from its file, without torch and without running anything.

Field names and numbers are those of torch 2.13's ``torch/_export/serde/schema.py``.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from etui.errors import UsageError
from etui.insight import DynamicDimension, ExportedInfo, ExportedTensor, Section
from etui.programs.pickle_check import refused_parts, to_text

_MODEL = re.compile(r"models/(?P<name>[^/]+)\.json")
_MOST_BYTES = 500_000_000
"""A description that unpacks to more is not read."""

_DTYPES = {
    1: ("uint8", 1),
    2: ("int8", 1),
    3: ("int16", 2),
    4: ("int32", 4),
    5: ("int64", 8),
    6: ("float16", 2),
    7: ("float32", 4),
    8: ("float64", 8),
    9: ("complex32", 4),
    10: ("complex64", 8),
    11: ("complex128", 16),
    12: ("bool", 1),
    13: ("bfloat16", 2),
    28: ("uint16", 2),
    29: ("float8_e4m3fn", 1),
    30: ("float8_e5m2", 1),
    31: ("float8_e4m3fnuz", 1),
    32: ("float8_e5m2fnuz", 1),
    33: ("float8_e8m0fnu", 1),
    34: ("uint32", 4),
    35: ("uint64", 8),
}
"""Name and size in bytes of each ScalarType of torch's schema."""

_SYMBOL = re.compile(r"Symbol\('(?P<name>\w+)'[^)]*\)|(?P<bare>\b[su]\d+\b)")
_UNREADABLE = (
    OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, RecursionError, zlib.error,
    zipfile.BadZipFile, zipfile.LargeZipFile,
)  # fmt: skip
"""What damaged archives and descriptions of another structure raise."""


def read_exported(path: Path) -> ExportedInfo:
    """Return what an exported program contains: inputs and outputs with dynamic dimensions and their bounds, operators,
    parameters and sizes.

    Raises:
        UsageError: the file cannot be read, or is not an exported program in the format of torch 2.8 and later.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
            models = [name for name in entries if _MODEL.fullmatch(name)]
            if not models:
                raise UsageError(
                    f"{path.name} has no description of an exported program",
                    "save it with torch.export.save of torch 2.8+",
                )
            if entries[models[0]].file_size > _MOST_BYTES:
                raise UsageError(f"the description in {path.name} is too large to be read", "export a smaller model")
            content = json.loads(archive.read(entries[models[0]]))
        return _info(path, size, digest, content, list(_sections(entries)))
    except UsageError:
        raise
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}", "name a .pt2 file") from error
    except _UNREADABLE as error:
        if isinstance(error, zipfile.BadZipFile):
            raise UsageError(
                f"{path.name} is not an exported program: it is not a zip archive", "save it with torch.export.save"
            ) from error
        raise UsageError(
            f"{path.name} is damaged, or not an exported program: {type(error).__name__}",
            "save it again with torch.export.save",
        ) from error


def _info(path: Path, size: int, digest: str, content: dict[str, Any], sections: list[Section]) -> ExportedInfo:
    module = content["graph_module"]
    graph, signature = module["graph"], module["signature"]
    values = graph["tensor_values"]
    kinds = [next(iter(spec.items())) for spec in signature["input_specs"]]
    inputs = [_tensor(spec["arg"], values) for kind, spec in kinds if kind == "user_input"]
    outputs = [
        _tensor(spec["arg"], values)
        for kind, spec in (next(iter(each.items())) for each in signature["output_specs"])
        if kind == "user_output"
    ]
    parameters = [values[spec["arg"]["name"]] for kind, spec in kinds if kind == "parameter"]
    buffers = [values[spec["arg"]["name"]] for kind, spec in kinds if kind in {"buffer", "tensor_constant"}]
    operators = Counter(
        str(node["target"]).removeprefix("torch.ops.").removeprefix("#torch.ops:") for node in graph["nodes"]
    )
    return ExportedInfo(
        name=path.name,
        size_bytes=size,
        sha256=digest,
        torch_version=str(content.get("torch_version") or ""),
        inputs=inputs,
        outputs=outputs,
        dimensions=_dimensions(content["range_constraints"], inputs, values),
        operators=dict(operators.most_common()),
        parameters=sum(_count(meta) for meta in parameters),
        parameter_bytes=sum(_bytes(meta) for meta in parameters),
        buffers=len(buffers),
        buffer_bytes=sum(_bytes(meta) for meta in buffers),
        sections=sections,
        unsafe=to_text(refused_parts(path)),
    )


def _tensor(argument: dict[str, Any], values: dict[str, Any]) -> ExportedTensor:
    kind, value = next(iter(argument.items()))
    if kind != "as_tensor":
        return ExportedTensor(name=str(value.get("name", "")) if isinstance(value, dict) else "", dtype=kind[3:])
    meta = values[value["name"]]
    name, _ = _DTYPES.get(meta["dtype"], (f"type {meta['dtype']}", 0))
    return ExportedTensor(name=value["name"], dtype=name, shape=[_size(each) for each in meta["sizes"]])


def _size(size: dict[str, Any]) -> int | str:
    if "as_int" in size:
        return int(size["as_int"])
    return _expression(str(size["as_expr"]["expr_str"]))


def _expression(text: str) -> str:
    """Return an expression over sizes with the names of its symbols only."""
    return _SYMBOL.sub(lambda found: found["name"] or found["bare"], text)


def _dimensions(ranges: dict[str, Any], inputs: list[ExportedTensor], values: dict[str, Any]) -> list[DynamicDimension]:
    """Return the symbols with their bounds, the size in the example, and the inputs that have them."""
    places: dict[str, list[str]] = {}
    for tensor in inputs:
        for axis, size in enumerate(tensor.shape or []):
            if isinstance(size, str):
                for symbol in re.findall(r"\b[a-z]{1,4}\d+\b", size):
                    places.setdefault(symbol, []).append(f"{tensor.name}[{axis}]")
    hints: dict[str, int] = {}
    for meta in values.values():
        for size in meta["sizes"]:
            expression = size.get("as_expr")
            hint = (expression or {}).get("hint") or {}
            if expression and "as_int" in hint:
                hints.setdefault(_expression(str(expression["expr_str"])), int(hint["as_int"]))
    return [
        DynamicDimension(
            name=name,
            minimum=_bound(bounds.get("min_val")),
            maximum=_bound(bounds.get("max_val")),
            example=hints.get(name),
            inputs=places.get(name, []),
        )
        for name, bounds in ranges.items()
    ]


def _bound(value: object) -> int | None:
    """Return a bound; None if there is none (torch stores infinity as a very large number)."""
    return value if isinstance(value, int) and abs(value) < 1 << 62 else None


def _count(meta: dict[str, Any]) -> int:
    return math.prod(int(size.get("as_int", 0)) for size in meta["sizes"])


def _bytes(meta: dict[str, Any]) -> int:
    return _count(meta) * _DTYPES.get(meta["dtype"], ("", 0))[1]


def _sections(entries: dict[str, zipfile.ZipInfo]) -> Iterator[Section]:
    """Yield the parts of the archive as a tree, the largest first."""
    groups: dict[str, int] = {}
    for name, entry in entries.items():
        folder = name.rpartition("/")[0] or "archive"
        groups[folder] = groups.get(folder, 0) + entry.file_size
    for folder, size in sorted(groups.items(), key=lambda item: -item[1]):
        name = folder.replace("/", " ").strip(" .") or "archive"
        yield Section(path=name, size_bytes=size)
        for path, entry in sorted(entries.items(), key=lambda item: -item[1].file_size):
            if (path.rpartition("/")[0] or "archive") == folder:
                yield Section(path=f"{name}/{path.rpartition('/')[2]}", size_bytes=entry.file_size)
