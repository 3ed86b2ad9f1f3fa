"""Names from not_comparable: nothing in them hides text, turns it round or makes a line too long to read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from etui.results import RunDocument
from tests.cli.conftest import Etui
from tests.documents import MODEL, make_document, make_spec
from tests.insights import look_inside

pytestmark = pytest.mark.slow

INVISIBLE = re.compile("[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\xad\U000e0000-\U000e0fff]")
HIDING = "".join(map(chr, (0x061C, 0x200B, 0x202E, 0x2060, 0xFEFF, 0xAD, 0xE0065, 0xE007F, 0x2067)))
ONE, TWO = "aaaaaaaaaaa1", "aaaaaaaaaaa2"
LONGEST_LINE = 2_000


def _named(document: RunDocument, name: str) -> RunDocument:
    info = msgspec.structs.replace(MODEL, name=name)
    log = [msgspec.structs.replace(line, message=f"{line.message}{name}") for line in document.log]
    session = msgspec.structs.replace(document.session, spec=msgspec.to_builtins(make_spec()))
    return msgspec.structs.replace(
        document, model=info, delegate=f"x{name}", note=name, tags=[name], log=log, session=session
    )


@pytest.fixture
def hostile(stored: Callable[..., None]) -> None:
    """Two runs of a model whose name hides what it can."""
    stored(
        *(
            _named(look_inside(make_document(run_id, precision="int8", median=median)), f"res{HIDING}net")
            for run_id, median in ((ONE, 16.0), (TWO, 12.0))
        )
    )


@pytest.mark.parametrize(
    "words",
    [
        ["runs"], ["show", ONE], ["log", ONE], ["log", ONE, "-v"], ["compare", ONE, TWO], ["trend", ONE],
        ["inspect", ONE], ["gap", ONE], ["profile", ONE], ["profile", ONE, "--by", "each", "--limit", "0"],
    ],
)  # fmt: skip
def test_no_output_hides_anything(etui: Etui, hostile: None, words: list[str]) -> None:
    done = etui(*words)
    assert done.returncode in (0, 2) and "resnet" in done.stdout, done.stderr
    assert INVISIBLE.search(done.stdout + done.stderr) is None


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["report", ONE, TWO, "-o"], "x.html"),
        (["report", ONE, TWO, "-o"], "x.md"),
        (["compare", ONE, TWO, "--junit"], "x.xml"),
        (["compare", ONE, TWO, "--markdown"], "x.md"),
        (["gap", ONE, "--csv"], "x.csv"),
        (["profile", ONE, "--csv"], "x.csv"),
    ],
)
def test_no_file_hides_anything(etui: Etui, hostile: None, tmp_path: Path, words: list[str], name: str) -> None:
    done = etui(*words, tmp_path / name)
    written = (tmp_path / name).read_text()
    assert written and INVISIBLE.search(written) is None, done.stderr


def test_a_long_name_does_not_make_long_lines(etui: Etui, stored: Callable[..., None], tmp_path: Path) -> None:
    long = "x" * 10_000
    named = [
        msgspec.structs.replace(
            look_inside(make_document(run_id, precision="int8", median=median)),
            model=msgspec.structs.replace(MODEL, name=f"{number}{long}"),
        )
        for number, (run_id, median) in enumerate(((ONE, 16.0), (TWO, 12.0)))
    ]
    stored(*named)
    listed = etui("runs").stdout.splitlines()
    assert max(map(len, listed)) < 400 and all("\u2026" in line for line in listed[1:])
    for words in (["compare", ONE, TWO], *([name, ONE] for name in ("show", "inspect", "gap", "profile", "trend"))):
        done = etui(*words)
        assert max(map(len, done.stdout.splitlines())) < LONGEST_LINE, words
    assert "x" * 900 in etui("show", ONE).stdout
    etui("report", ONE, TWO, "-o", tmp_path / "x.md")
    assert max(map(len, (tmp_path / "x.md").read_text().splitlines())) < 2 * LONGEST_LINE


def test_the_whole_name_is_in_the_json(etui: Etui, stored: Callable[..., None]) -> None:
    name = f"res{HIDING}net" + "x" * 10_000
    stored(_named(make_document(ONE), name))
    document = msgspec.json.decode(etui("show", ONE, "--json").stdout, type=RunDocument)
    assert document.model.name == name
