"""Try torchvision's models: build, run eager, export, lower for XNNPACK in FP32 and run the program once.

``python -m tests.torchvision_sweep --results FILE [--task classification] [--limit-s 300] [NAME..]`` tries the models
that FILE does not have yet, small ones first, with random weights and a random input, each in a separate process; then
it writes ``docs/torchvision.md`` from FILE. It takes about an hour and is not part of the tests.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from etui.catalog.models import ModelEntry
from etui.catalog.torchvision_models import torchvision_model
from etui.catalog.torchvision_names import NAMES
from etui.engine.process.preload import preload_prepare

PAGE = Path(__file__).parents[1] / "docs" / "torchvision.md"


def main() -> None:
    """Try the models, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--task", default="classification")
    parser.add_argument("--limit-s", type=float, default=300.0)
    parser.add_argument("--stop-after-s", type=float, default=float("inf"))
    arguments = parser.parse_args()
    results = json.loads(arguments.results.read_text()) if arguments.results.exists() else {}
    names = arguments.names or sorted(
        (name for name, row in NAMES.items() if row.task == arguments.task),
        key=lambda name: NAMES[name].parameters * NAMES[name].size ** 2,
    )
    preload_prepare()
    until = time.monotonic() + arguments.stop_after_s
    for name in names:
        if name in results or time.monotonic() > until:
            continue
        results[name] = tried(name, arguments.limit_s)
        print(name, results[name], flush=True)
        arguments.results.write_text(json.dumps(results, indent=1, sort_keys=True))
    PAGE.write_text(page(results))


def tried(name: str, limit_s: float) -> dict[str, Any]:
    """Return the outcome of one model, from a process that may crash or take too long."""
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(name, theirs))
    process.start()
    theirs.close()
    outcome: dict[str, Any] = {"problem": f"not finished after {limit_s:.0f} s"}
    if mine.poll(limit_s):
        try:
            outcome = mine.recv()
        except EOFError:
            outcome = {"problem": "the process crashed"}
    process.kill()
    process.join()
    return outcome


def _work(name: str, answers: Connection) -> None:
    stage = "build"
    try:
        import torch

        from etui.engine.delegates import delegate_support
        from etui.engine.lowering.delegation import delegation_of
        from etui.engine.lowering.flat_export import export
        from etui.engine.models.build import build
        from etui.engine.models.outputs import flat_outputs

        torch.manual_seed(0)
        entry = _entry(name)
        assert entry.image is not None
        module = build(entry).module
        pixels = (torch.rand(1, 3, entry.image.size, entry.image.size),)
        stage = "eager"
        with torch.inference_mode():
            reference = flat_outputs(module(*pixels))
        stage = "export"
        with torch.no_grad():
            program = export(module, pixels)
        stage = "lower"
        from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

        edge = to_edge_transform_and_lower(
            program,
            partitioner=delegate_support("xnnpack").partitioners("fp32"),
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
        )
        delegation = delegation_of(edge.exported_program().graph_module)
        content = edge.to_executorch().buffer
        stage = "run"
        from executorch.extension.pybindings import _C

        loaded = _C._load_program_from_buffer(content)
        outputs = loaded.load_method("forward")(pixels)
        close = all(
            torch.allclose(one, other, rtol=1e-2, atol=1e-3 * float(one.abs().max()))
            for one, other in zip(reference, outputs, strict=True)
        )
        answers.send(
            {
                "partitions": delegation.subgraphs,
                "delegated": delegation.delegated_nodes,
                "undelegated": delegation.undelegated_nodes,
                "size_mb": round(len(content) / 1e6, 1),
                "problem": "" if close else "the outputs differ from eager",
            }
        )
    except BaseException as error:  # noqa: BLE001 - the outcome of this model
        line = (str(error).strip().splitlines() or [""])[0][:160]
        answers.send({"problem": f"{stage}: {type(error).__name__}: {line}"})


def _entry(name: str) -> ModelEntry:
    entry = torchvision_model(name)
    assert entry is not None
    return entry


def page(results: dict[str, dict[str, Any]]) -> str:
    """Return the reference page."""
    rows = []
    for name in sorted(results):
        row, outcome = NAMES[name], results[name]
        problem = str(outcome["problem"]).replace("|", "\\|")
        if "partitions" in outcome:
            total = outcome["delegated"] + outcome["undelegated"]
            lowered = f"{outcome['delegated']} of {total} | {outcome['partitions']} | {outcome['size_mb']:,.1f} MB"
        else:
            lowered = " | | "
        rows.append(f"| `{name}` | {row.size} | {row.parameters / 1e6:.1f} M | {lowered} | {problem or 'works'} |")
    # Those that cannot be exported have a limit.
    untried = [name for name in NAMES if name not in results and not _entry(name).limits]
    missing = f"\nNot tried yet: {', '.join(f'`{name}`' for name in untried)}.\n" if untried else ""
    works = sum(not outcome["problem"] for outcome in results.values())
    head = f"""# Models of torchvision

`etui run torchvision:NAME` measures any model of torchvision for classification and segmentation, and the detectors
with one stage (`etui models --torchvision`). {works} of the {len(results)} models in this table worked with random
weights: eager, exported, lowered for XNNPACK in FP32, and run once with outputs that agree with eager.

| model | input | parameters | nodes delegated | partitions | program | outcome |
|---|---:|---:|---:|---:|---:|---|
"""
    note = "\nWritten by `python -m tests.torchvision_sweep`.\n"
    return head + "\n".join(rows) + "\n" + missing + note


if __name__ == "__main__":
    main()
