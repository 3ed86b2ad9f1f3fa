"""``etui inspect FILE.pt2``: an exported program is described from its file, which is not loaded."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from etui.cli.main import cli


def inspected(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["inspect", *map(str, arguments)])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of an exported program with a batch of 1 to 8, an unbounded second dimension, and a buffer."""
    import torch

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Linear(24, 8)
            self.register_buffer("scale", torch.ones(8))

        def forward(self, tokens: torch.Tensor, more: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.inner(tokens).sum(1) * self.scale + more.sum()
            return result

    path = tmp_path_factory.mktemp("exported") / "net.pt2"
    batch, length = torch.export.Dim("batch", min=1, max=8), torch.export.Dim("length", min=2)
    program = torch.export.export(
        Net().eval(), (torch.randn(2, 5, 24), torch.randn(3)), dynamic_shapes=({0: batch, 1: length}, None)
    )
    torch.export.save(program, path)
    return path


@pytest.mark.slow
def test_inputs_dimensions_operators_and_sizes(exported: Path) -> None:
    info = json.loads(inspected(exported, "--json").stdout)
    tokens, more = info["inputs"]
    assert (tokens["name"], tokens["dtype"], tokens["shape"][2]) == ("tokens", "float32", 24)
    assert more["shape"] == [3]
    named = {dimension["inputs"][0]: dimension for dimension in info["dimensions"]}
    assert {name: (one["minimum"], one["maximum"], one["example"]) for name, one in named.items()} == {
        "tokens[0]": (1, 8, 2),
        "tokens[1]": (2, None, 5),
    }
    assert info["outputs"][0]["shape"] == [tokens["shape"][0], 8]
    assert info["parameters"] == 24 * 8 + 8 and info["parameter_bytes"] == 4 * info["parameters"]
    assert (info["buffers"], info["buffer_bytes"]) == (1, 32)
    assert info["operators"]["aten.linear.default"] == 1
    assert info["unsafe"] == ""


@pytest.mark.slow
def test_the_text_names_the_bounds(exported: Path) -> None:
    text = inspected(exported).stdout
    assert "1 to 8, 2 in the example (tokens[0])" in text
    assert "no upper bound" in text


@pytest.mark.slow
def test_a_part_that_would_run_code_is_named(exported: Path, tmp_path: Path) -> None:
    import pickle

    class Code:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("never",)

    bad = tmp_path / "bad.pt2"
    with zipfile.ZipFile(exported) as archive, zipfile.ZipFile(bad, "w") as changed:
        for name in archive.namelist():
            is_sample = "sample_inputs" in name
            changed.writestr(name, pickle.dumps(Code()) if is_sample else archive.read(name))
    assert "builtins.print" in json.loads(inspected(bad, "--json").stdout)["unsafe"]


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04cut"])
def test_other_files_are_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    bad = tmp_path / "bad.pt2"
    bad.write_bytes(content)
    done = inspected(bad)
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1 and "bad.pt2" in done.stderr


@pytest.mark.parametrize("text", ["{}", "[]", '{"graph_module": {}}', "nothing", '{"graph_module": {"graph": 3}}'])
def test_a_damaged_description_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    bad = tmp_path / "bad.pt2"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("bad/models/model.json", text)
    done = inspected(bad)
    assert done.exit_code == 2 and "bad.pt2" in done.stderr
