"""The last-level caches that some CPUs use, each counted once."""

from __future__ import annotations

from pathlib import Path

from etui.host.caches import last_level_cache_bytes


def add_cache(root: Path, cpu: int, index: int, **facts: str) -> None:
    folder = root / f"sys/devices/system/cpu/cpu{cpu}/cache/index{index}"
    folder.mkdir(parents=True)
    for name, value in facts.items():
        (folder / name).write_text(f"{value}\n")


def test_a_shared_cache_counts_once(tmp_path: Path) -> None:
    for cpu, shared in ((0, "0-1"), (1, "0-1"), (2, "2-3")):
        add_cache(tmp_path, cpu, 0, type="Instruction", level="4", size="1G", shared_cpu_list=str(cpu))
        add_cache(tmp_path, cpu, 1, type="Data", level="1", size="32K", shared_cpu_list=str(cpu))
        add_cache(tmp_path, cpu, 2, type="Unified", level="3", size="16M", shared_cpu_list=shared)
    assert last_level_cache_bytes([0, 1], tmp_path) == 16 << 20
    assert last_level_cache_bytes([0, 1, 2], tmp_path) == 32 << 20


def test_an_unreadable_cache_is_not_guessed(tmp_path: Path) -> None:
    add_cache(tmp_path, 0, 0, type="Unified", level="3", size="16M", shared_cpu_list="0")
    assert last_level_cache_bytes([0, 1], tmp_path) is None
