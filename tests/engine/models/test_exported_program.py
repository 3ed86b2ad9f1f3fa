"""Exported programs from untrusted sources: code in their files is not executed unless that is allowed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from etui.engine.models.bundle import Bundle
from etui.engine.models.exported_program import load_exported
from etui.errors import PreparationError
from etui.programs.pickle_check import refused_parts
from etui.services.request import FieldError, check_model
from tests.engine.conftest import Workshop

SAMPLE_INPUTS = "data/sample_inputs/model.pt"
GRAPH = "models/model.json"

Change = Callable[[bytes], bytes]


class Evil:
    """Write a file when unpickled."""

    def __init__(self, proof: Path) -> None:
        self._proof = proof

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.mkdir, (str(self._proof),)


class Net(torch.nn.Module):
    """A module with weights, a non-persistent buffer, and a tensor that is a plain attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)
        self.register_buffer("scale", torch.full((4,), 2.0), persistent=False)
        self.shift = torch.arange(4.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shifted: torch.Tensor = self.layer(x) * self.scale + self.shift
        return shifted


def _save(
    path: Path, change: dict[str, Change] | None = None, extra: dict[str, bytes] | None = None, **how: Any
) -> Path:
    """Return an exported program with some of its parts changed."""
    whole = path.with_suffix(".whole.pt2")
    torch.export.save(torch.export.export(torch.nn.Linear(4, 4).eval(), (torch.randn(1, 4),)), whole)
    with zipfile.ZipFile(whole) as before, zipfile.ZipFile(path, "w", **how) as after:
        for name in before.namelist():
            content = before.read(name)
            for part, changed in (change or {}).items():
                if name.endswith(part):
                    content = changed(content)
            after.writestr(name, content)
        root = before.namelist()[0].partition("/")[0]
        for part, content in (extra or {}).items():
            after.writestr(f"{root}/{part}", content)
    whole.unlink()
    return path


def _saved(value: object, **how: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **how)
    return buffer.getvalue()


def _config(name: str, **fields: object) -> Change:
    """Mark the first tensor of a list as stored in another format."""

    def change(content: bytes) -> bytes:
        config = json.loads(content)
        config["config"][name] = {"path_name": "x", "is_param": False, "tensor_meta": None, **fields}
        return json.dumps(config).encode()

    return change


def _graph(old: str, new: str) -> Change:
    def change(content: bytes) -> bytes:
        assert old in content.decode()
        return content.decode().replace(old, new).encode()

    return change


def _evil_programs(folder: Path, proof: Path) -> dict[str, Path]:
    evil = Evil(proof)
    inputs: tuple[object, object] = (((torch.randn(1, 4),), {}), evil)
    code = f"__import__('os').mkdir({str(proof)!r})"
    mark = {"use_pickle": True}
    return {
        "inputs": _save(folder / "inputs.pt2", {SAMPLE_INPUTS: lambda _: _saved(inputs)}),
        "old inputs": _save(
            folder / "old.pt2", {SAMPLE_INPUTS: lambda _: _saved(inputs, _use_new_zipfile_serialization=False)}
        ),
        "bare inputs": _save(folder / "bare.pt2", {SAMPLE_INPUTS: lambda _: pickle.dumps(inputs)}),
        "weights": _save(
            folder / "weights.pt2",
            {"_weights_config.json": _config("evil", path_name="weight_9", **mark)},
            {"data/weights/weight_9": _saved(evil)},
        ),
        "constants": _save(
            folder / "constants.pt2",
            {"_constants_config.json": _config("evil", path_name="tensor_9", **mark)},
            {"data/constants/tensor_9": _saved(evil)},
        ),
        "object": _save(
            folder / "object.pt2",
            {"_constants_config.json": _config("evil", path_name="opaque_obj_0", use_pickle=True)},
            {"data/constants/opaque_obj_0": pickle.dumps(evil)},
        ),
        "legacy weights": _save(folder / "legacy.pt2", extra={"data/weights/model.pt": _saved({"weight": evil})}),
        "expression": _save(
            folder / "expression.pt2",
            {
                GRAPH: _graph(
                    '"sizes": [{"as_int": 1}',
                    '"sizes": [{"as_expr": {"expr_str": ' + json.dumps(code) + ', "hint": null}}',
                )
            },
        ),
        "name": _save(folder / "name.pt2", {GRAPH: _graph('"input"', json.dumps(f"input={code}"))}),
    }


EVIL = ("inputs", "old inputs", "bare inputs", "weights", "constants", "object", "legacy weights", "expression", "name")
IN_THE_GRAPH = ("expression", "name")


@pytest.mark.parametrize("which", EVIL)
def test_code_in_the_file_is_not_executed(tmp_path: Path, which: str) -> None:
    proof = tmp_path / "proof"
    path = _evil_programs(tmp_path, proof)[which]
    with pytest.raises(PreparationError) as refused:
        load_exported(path, allow_pickle=False)
    assert not proof.exists()
    assert "--allow-pickle" in refused.value.hint and "\n" not in str(refused.value)
    if which not in IN_THE_GRAPH:
        assert "posix.mkdir" in refused.value.message or which == "object"
        # The front end can detect this without torch, before anything is queued.
        assert refused_parts(path)
        with pytest.raises(FieldError) as early:
            check_model(str(path))
        assert early.value.field == "model" and "--allow-pickle" in early.value.hint
        assert check_model(str(path), allow_pickle=True)
    assert not proof.exists()


@pytest.mark.parametrize("which", ["inputs", "weights"])
def test_allowed_program_is_loaded_as_torch_does(tmp_path: Path, which: str) -> None:
    proof = tmp_path / "proof"
    path = _evil_programs(tmp_path, proof)[which]
    with contextlib.suppress(PreparationError):
        load_exported(path, allow_pickle=True)
    assert proof.exists()


class Harmless:
    """An object that is unpickled as an empty dict."""

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return dict, ()


def test_bundle_with_code_is_refused_unless_allowed(workshop: Workshop, tmp_path: Path) -> None:
    plain = str(_save(tmp_path / "plain.pt2"))
    inputs = ((torch.randn(1, 4),), Harmless())
    pickled = str(_save(tmp_path / "pickled.pt2", {SAMPLE_INPUTS: lambda _: _saved(inputs)}))
    assert not workshop.bundle(plain).allow_pickle and workshop.bundle(plain).cached
    refused = pytest.raises(PreparationError, match=r"sample_inputs/model\.pt \(__builtin__\.dict\)")
    with refused:
        workshop.bundle(pickled)
    allowed = workshop.bundle(pickled, allow_pickle=True)
    Bundle.open(Path(allowed.path), pickled).eager()
    assert workshop.bundle(pickled, allow_pickle=True).cached
    with refused:
        workshop.bundle(pickled)
    with refused:
        workshop.bundle(pickled, key=allowed.key)


def test_pickled_tensors_are_accepted(tmp_path: Path) -> None:
    exported = torch.export.export(Net().eval(), (torch.randn(1, 4),))
    for protocol in (4, 2):
        torch.export.save(exported, tmp_path / "net.pt2", pickle_protocol=protocol)
        assert not refused_parts(tmp_path / "net.pt2")
    loaded = load_exported(tmp_path / "net.pt2", allow_pickle=False)
    assert torch.equal(loaded.module(*loaded.positional), exported.module()(*loaded.positional))


def test_program_with_dynamic_sizes_and_branches_is_loaded(tmp_path: Path) -> None:
    """Expressions, nested graphs and names in the graph do not refuse the program."""

    class Branches(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            half = x[: x.shape[0] // 2]
            chosen: torch.Tensor = torch.cond(x.sum() > 0, lambda y: y.sin(), lambda y: y.cos(), (half,))
            return chosen + (x.shape[0] * 2 - 1)

    exported = torch.export.export(
        Branches(), (torch.randn(8, 3),), dynamic_shapes={"x": {0: 2 * torch.export.Dim("half", min=2, max=64)}}
    )
    torch.export.save(exported, tmp_path / "branches.pt2")
    loaded = load_exported(tmp_path / "branches.pt2", allow_pickle=False)
    x = torch.randn(6, 3)
    assert torch.equal(loaded.module(x), exported.module()(x))


@pytest.mark.parametrize("part", ["outer", "inner"])
def test_decompression_bomb_is_refused_in_one_line(tmp_path: Path, part: str) -> None:
    zeros = bytes(100_000_000)
    if part == "outer":
        path = _save(tmp_path / "bomb.pt2", extra={"extra/zeros": zeros}, compression=zipfile.ZIP_DEFLATED)
    else:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as inner:
            inner.writestr("archive/data.pkl", pickle.dumps(1, 2))
            inner.writestr("archive/data/0", zeros)
        path = _save(tmp_path / "bomb.pt2", {SAMPLE_INPUTS: lambda _: buffer.getvalue()})
    with pytest.raises(PreparationError, match="would unpack from"):
        load_exported(path, allow_pickle=False)


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"PK\x03\x04" + bytes(100)])
def test_other_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pt2"
    path.write_bytes(content)
    with pytest.raises(PreparationError) as refused:
        load_exported(path, allow_pickle=False)
    assert "\n" not in str(refused.value)
    assert check_model(str(path))


@pytest.mark.parametrize("seed", range(40))
def test_damaged_file_is_loaded_or_refused_in_one_line(tmp_path: Path, seed: int) -> None:
    chosen, path = random.Random(seed), tmp_path / "damaged.pt2"
    content = bytearray(_save(path).read_bytes())
    for _ in range(chosen.randint(1, 6)):
        content[chosen.randrange(len(content))] = chosen.randrange(256)
    path.write_bytes(content if chosen.random() < 0.8 else content[: chosen.randrange(len(content))])
    assert check_model(str(path))
    try:
        load_exported(path, allow_pickle=False)
    except PreparationError as refused:
        assert "\n" not in str(refused)


def test_compiled_code_is_reported(tmp_path: Path) -> None:
    path = _save(tmp_path / "compiled.pt2", extra={"data/aotinductor/model/x.so": b"ELF"})
    with pytest.raises(PreparationError, match="compiled code"):
        load_exported(path, allow_pickle=False)
