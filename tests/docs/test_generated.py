"""The generated pages are what the code generates now, and leave nothing out."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from etui.catalog.diffusion_models import DIFFUSION
from etui.catalog.models import MODELS
from etui.store.transfer import encode_document
from tests.docs import api, configuration, examples, multiply_adds, picture, schema
from tests.docs.files import COUNTS, DOCS, FILES, PICTURE, pages_with_examples
from tests.documents import make_document

SAMPLES = sorted(examples.SAMPLES.glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_generated_file_is_up_to_date(path: Path) -> None:
    assert path.read_text("utf-8") == FILES[path](), "run: python -m tests.docs"


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with examples.sample_database(tmp_path_factory.mktemp("samples")):
        yield


@pytest.mark.usefixtures("samples")
@pytest.mark.parametrize("path", pages_with_examples(), ids=lambda path: path.name)
def test_the_examples_of_a_page_are_up_to_date(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text == examples.refreshed(text), "run: python -m tests.docs"


def test_the_folders_of_generated_files_hold_no_other_file() -> None:
    generated = {path.parent for path in FILES if path.parent != DOCS}
    assert {path for folder in generated for path in folder.iterdir()} == {*FILES, COUNTS}


def test_every_environment_variable_is_described() -> None:
    assert set(configuration.VARIABLES) == configuration.variables_in_code()


@pytest.mark.parametrize(
    ("name", "value"), api.public_objects(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_public_name_has_a_docstring(name: str, value: Any) -> None:
    assert (inspect.getdoc(value) or "").strip(), f"{name} has no docstring"


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_the_sample_results_are_valid(path: Path) -> None:
    assert schema.mistakes(json.loads(path.read_bytes()), schema.schema()) == []


def test_an_exported_document_is_valid() -> None:
    document = json.loads(encode_document(make_document("aaaaaaaaaaa1")))
    assert schema.mistakes(document, schema.schema()) == []


def _without_id(document: dict[str, Any]) -> None:
    del document["id"]


def _other_schema(document: dict[str, Any]) -> None:
    document["schema"] = "etui.run/2"


def _text_as_latency(document: dict[str, Any]) -> None:
    document["latency_ms"]["median"] = "4 ms"


def _unknown_status(document: dict[str, Any]) -> None:
    document["status"] = "finished"


def _three_bounds(document: dict[str, Any]) -> None:
    document["latency_ms"]["ci95"] = [1.0, 2.0, 3.0]


def _null_sample(document: dict[str, Any]) -> None:
    document["blocks"][0]["samples_ms"][0] = None


@pytest.mark.parametrize(
    "damage", [_without_id, _other_schema, _text_as_latency, _unknown_status, _three_bounds, _null_sample]
)
def test_a_damaged_document_is_not_valid(damage: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(msgspec.json.encode(make_document("aaaaaaaaaaa1")))
    assert schema.mistakes(document, schema.schema()) == []
    damage(document)
    assert len(schema.mistakes(document, schema.schema())) == 1


def test_the_picture_shows_the_screen_at_its_size() -> None:
    svg = ElementTree.parse(PICTURE).getroot()
    texts = [element for element in svg.iter("{http://www.w3.org/2000/svg}text") if element.get("clip-path")]
    lines = {element.get("clip-path") for element in texts}
    assert len(lines) == picture.SIZE[1]
    assert {"resnet18", "xnnpack"} <= {word for element in texts for word in (element.text or "").split()}


def test_the_page_of_multiply_adds_has_every_model_and_agrees_with_what_is_published() -> None:
    head, _, *rows = multiply_adds_rows(COUNTS.read_text("utf-8"))
    assert head[:3] == multiply_adds.COLUMNS[:3]
    assert [row[0] for row in rows] == [f"`{name}`" for name in (*MODELS, *DIFFUSION)]
    for name, figure, counted, *_ in rows:
        known = multiply_adds.published(name.strip("`"))
        if known is None:
            assert figure == "-"
            continue
        assert figure == f"{known.macs_g:.4g}"
        compared = counted.partition("(")[2] if known.without_attention else counted
        assert math.isclose(float(compared.split()[0]), known.macs_g, rel_tol=0.01), name


def multiply_adds_rows(text: str) -> list[tuple[str, ...]]:
    return [tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in text.splitlines() if line.startswith("|")]
