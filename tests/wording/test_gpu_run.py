"""A run that a GPU executed: what its time means, its memory and clock, and which warning flags do not apply."""

from __future__ import annotations

import msgspec

from etui.results import DeviceTiming, Memory, RunDocument
from etui.runner.build_document import with_figures
from etui.wording import run_sections
from tests.documents import make_document


def on_gpu(clocks: tuple[float, float] = (1980.0, 1980.0)) -> RunDocument:
    """A document whose blocks a GPU executed: it kept one core busy, and the driver has threads of its own."""
    document = make_document(delegate="cuda", precision="fp32")
    document.artifact = None
    document.memory = Memory(
        peak_rss_bytes=900_000_000,
        device_loaded_bytes=47_000_000,
        device_peak_bytes=60_000_000,
        device_reserved_bytes=80_000_000,
    )
    document.blocks = [
        msgspec.structs.replace(
            block,
            device=DeviceTiming(name="NVIDIA H100", wall_ms=3.25, clock_mhz=clocks),
            cpu_s=0.1,
            wall_s=1.0,
            busy_threads=block.threads + 3,
            frequency_mhz=None,
            frequency_range_mhz=None,
        )
        for block in document.blocks
    ]
    document.eager_blocks = [
        msgspec.structs.replace(block, cpu_s=float(block.threads), wall_s=1.0) for block in document.eager_blocks
    ]
    return document


def texts(document: RunDocument) -> dict[str, str]:
    return {
        section.title: " ".join(
            [*(f"{entry.label} {entry.value}" for entry in section.entries)]
            + [cell for row in (section.table.rows if section.table else []) for cell in row]
        )
        for section in run_sections.sections(document)
    }


def test_the_time_is_that_of_the_gpu_with_the_wall_time_next_to_it() -> None:
    shown = texts(with_figures(on_gpu()))
    assert "CUDA events" in shown["Latency"] and "no copies" in shown["Latency"] and "3.25 ms" in shown["Latency"]
    assert all(size in shown["Memory"] for size in ("47.0 MB", "60.0 MB", "80.0 MB"))
    assert "NVIDIA H100" in shown["Machine"] and "GPU clock 1,980 MHz" in shown["Machine"]
    on_cpu = texts(with_figures(make_document()))
    assert not any("GPU" in text for text in on_cpu.values())


def test_cores_and_threads_of_the_cpu_raise_no_flag_but_the_clock_of_the_gpu_does() -> None:
    names = {flag.name for flag in with_figures(on_gpu()).flags}
    assert not names & {"parallelism", "threads", "frequency"}
    (flag,) = [flag for flag in with_figures(on_gpu((1980.0, 1300.0))).flags if flag.name == "frequency"]
    assert "the GPU ran at 1300 to 1980 MHz" in flag.detail


def test_the_document_survives_its_json() -> None:
    document = on_gpu()
    again = msgspec.json.decode(msgspec.json.encode(document), type=RunDocument)
    assert again.blocks[0].device == document.blocks[0].device
    assert again.memory == document.memory
