"""``etui gap`` and ``--keep-fp32`` as installed: the spoiled layer is found and kept, and the error falls."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.facts import lacking
from tests.machines import Machine

TINY = Path(__file__).parents[1] / "engine" / "tiny.py"
PRECISION = "int8-static-per-tensor"
FEW = ("--preset", "quick", "--repeat", "3", "--warmup", "1", "--inputs", "2", "--calibration", "2", "--threads", "1")


def run(machine: Machine, *words: str, status: int | None = 0) -> dict[str, Any]:
    """The summary of the run that a model gives."""
    found: list[dict[str, Any]] = json.loads(
        machine.etui("run", f"{TINY}:spoiled", *words, *FEW, "--json", status=status).stdout
    )
    return found[0]


@pytest.mark.slow
def test_the_spoiled_layer_is_named_and_keeping_it_brings_the_error_down(warm_machine: Machine, tmp_path: Path) -> None:
    before = run(warm_machine, "-p", PRECISION)
    shown = warm_machine.etui("gap", before["id"])
    assert not lacking(shown.stdout, "10.0 dB", "middle (")
    assert "--keep-fp32 middle" in shown.stdout
    assert "2 inputs" in shown.stderr
    gap = json.loads(warm_machine.etui("gap", before["id"], "--json").stdout)
    assert gap["layers"][gap["first_past"]]["name"] == "middle"

    # It was kept with the run: nothing is done again, another threshold is another reading.
    again = warm_machine.etui("gap", before["id"], "--sort", "contribution", "--limit", "1", "--threshold-db", "-50")
    assert not again.stderr
    assert "-50.0 dB" in again.stdout
    assert "1 of 9 layers" in again.stdout
    table = tmp_path / "layers.csv"
    warm_machine.etui("gap", before["id"], "--csv", table)
    rows = list(csv.DictReader(table.open()))
    assert [row["layer"] for row in rows] == [layer["name"] for layer in gap["layers"]]
    assert rows[2]["module"] == "middle"
    assert float(rows[2]["mse"]) == gap["layers"][2]["mse"]
    assert warm_machine.etui("gap", before["id"], "--csv", table, status=2).stderr.count("\n") == 1

    after = run(warm_machine, "-p", PRECISION, "--keep-fp32", gap["keep_fp32"])
    assert after["accuracy"]["mae"] < before["accuracy"]["mae"] / 5
    assert after["size_bytes"] > before["size_bytes"]
    kept, plain = warm_machine.document(after["id"]), warm_machine.document(before["id"])
    assert kept.session.spec["keep_fp32"] == ["middle"]
    assert kept.artifact is not None and plain.artifact is not None
    assert kept.artifact.key != plain.artifact.key
    for command in ("show", "log"):
        assert any("middle" in line for line in warm_machine.etui(command, after["id"]).stdout.splitlines())
    row = next(
        line
        for line in warm_machine.etui("compare", before["id"], after["id"], status=None).stdout.splitlines()
        if line.startswith("kept in FP32")
    )
    assert row.split() == ["kept", "in", "FP32", "-", "middle"]
    # The gap of the kept one is found with the module kept, and is no longer there.
    better = json.loads(warm_machine.etui("gap", after["id"], "--json").stdout)
    assert better["first_past"] is None
    assert next(layer for layer in better["layers"] if layer["name"] == "middle")["contribution"] is None

    # The documents carry it all elsewhere.
    written = tmp_path / "run.json"
    warm_machine.etui("export", before["id"], "-o", written)
    warm_machine.etui("--db", tmp_path / "other.db", "import", written)
    assert json.loads(warm_machine.etui("--db", tmp_path / "other.db", "gap", before["id"], "--json").stdout) == gap


@pytest.mark.slow
def test_an_fp32_run_is_compared_and_what_cannot_be_is_refused(warm_machine: Machine, tmp_path: Path) -> None:
    fp32 = run(warm_machine)
    gap = json.loads(warm_machine.etui("gap", fp32["id"], "--json").stdout)
    assert "debug buffer" in gap["method"]
    assert all(layer["exact"] or layer["sqnr_db"] > 100 for layer in gap["layers"])

    failed = run(warm_machine, "-p", PRECISION, "--keep-fp32", "midle", "--no-check", status=3)
    assert not lacking(failed["error"], "'midle'", "middle")
    refused = warm_machine.etui("gap", failed["id"], status=2).stderr
    assert "program" in refused and refused.count("\n") == 1
    for words, printed in (
        (("-p", "fp32"), "fp32"),
        (("-p", "fp16,int8"), "fp16"),
    ):
        logged = warm_machine.etui("run", f"{TINY}:spoiled", *words, "--keep-fp32", "middle", status=2).stderr
        assert printed in logged
        assert logged.count("\n") == 1

    program = tmp_path / "program"
    warm_machine.etui("run", f"{TINY}:spoiled", "--export-only", "-o", program, "--threads", "1")
    finished = next(program.glob("*.pte"))
    as_is = json.loads(warm_machine.etui("run", finished, *FEW, "--json").stdout)[0]
    assert "eager" in warm_machine.etui("gap", as_is["id"], status=2).stderr
    assert warm_machine.etui("run", finished, "--keep-fp32", "x", status=2).stderr.count("\n") == 1
