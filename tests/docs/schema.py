"""The JSON Schema of the document ``etui.run/1``, generated from the types, and a check of a value against it.

The check implements the keywords that msgspec generates and refuses a schema with any other, so that it never passes
something it did not look at.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from etui.analysis_kinds.registry import KINDS
from etui.results import SCHEMA, RunDocument

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_KNOWN = frozenset(
    {
        "$ref", "$defs", "$schema", "title", "description", "default", "type", "properties", "required", "items",
        "additionalProperties", "anyOf", "enum", "prefixItems", "minItems", "maxItems",
    }
)  # fmt: skip


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a run's document."""
    by_name = [kind for kind in KINDS.values() if not kind.document_field]
    (made, *results), definitions = msgspec.json.schema_components(
        [RunDocument, *(kind.result for kind in by_name)], schema_hook=_of_any, ref_template="#/$defs/{name}"
    )
    properties = definitions["RunDocument"]["properties"]
    properties["schema"] = {"enum": [SCHEMA], "default": SCHEMA}
    if by_name:
        properties["analyses"]["properties"] = {
            kind.name: result for kind, result in zip(by_name, results, strict=True)
        }
    for one in definitions.values():
        if "description" in one:
            one["description"] = " ".join(one["description"].replace("``", "`").split())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA, **made, "$defs": definitions,
    }  # fmt: skip


def _of_any(kind: type) -> dict[str, Any]:
    """The schema of ``object``, which stands for any JSON value."""
    if kind is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError(kind)


def text() -> str:
    """The text of ``docs/schema/etui.run-1.schema.json``."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def mistakes(value: object, schema: dict[str, Any]) -> list[str]:
    """What of a JSON value contradicts a schema, each with its path; empty if the value is valid.

    Raises ValueError for a keyword that this check does not implement.
    """
    return _mistakes(value, schema, schema.get("$defs", {}), "$")


def _mistakes(value: object, schema: dict[str, Any], definitions: dict[str, Any], path: str) -> list[str]:
    if unknown := schema.keys() - _KNOWN:
        raise ValueError(f"{path}: the check does not implement {sorted(unknown)}")
    if "$ref" in schema:
        return _mistakes(value, definitions[schema["$ref"].removeprefix("#/$defs/")], definitions, path)
    if "anyOf" in schema:
        tried = [_mistakes(value, one, definitions, path) for one in schema["anyOf"]]
        return [] if any(not one for one in tried) else min(tried, key=len)
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{path}: {value!r} is not one of {schema['enum']}"]
    if "type" in schema and not _is(value, schema["type"]):
        return [f"{path}: {type(value).__name__} instead of {schema['type']}"]
    if isinstance(value, dict):
        return _of_object(value, schema, definitions, path)
    if isinstance(value, list):
        return _of_array(value, schema, definitions, path)
    return []


def _is(value: object, name: str) -> bool:
    # A bool is an int in Python, and not a number in JSON.
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _of_object(value: dict[str, Any], schema: dict[str, Any], definitions: dict[str, Any], path: str) -> list[str]:
    properties, further = schema.get("properties", {}), schema.get("additionalProperties", {})
    found = [f"{path}.{name}: missing" for name in schema.get("required", []) if name not in value]
    for name, inner in value.items():
        if name in properties:
            found += _mistakes(inner, properties[name], definitions, f"{path}.{name}")
        elif further is False:
            found.append(f"{path}.{name}: not allowed")
        elif isinstance(further, dict):
            found += _mistakes(inner, further, definitions, f"{path}.{name}")
    return found


def _of_array(value: list[Any], schema: dict[str, Any], definitions: dict[str, Any], path: str) -> list[str]:
    fewest, most = schema.get("minItems", 0), schema.get("maxItems", len(value))
    if not fewest <= len(value) <= most:
        return [f"{path}: {len(value)} items instead of {fewest} to {most}"]
    first = schema.get("prefixItems", [])
    items = schema.get("items", {})
    found = []
    for index, inner in enumerate(value):
        rule = first[index] if index < len(first) else items
        if rule is False:
            found.append(f"{path}[{index}]: not allowed")
        else:
            found += _mistakes(inner, rule, definitions, f"{path}[{index}]")
    return found
