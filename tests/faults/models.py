"""Model files as a user might pass them to etui: very small ones, some of which misbehave in a chosen call."""

from __future__ import annotations

import random
from pathlib import Path
from string import Template

_MODEL = '''\
"""A very small model of round $name."""

import torch
from torch import nn


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(16, 16)
        self.second = nn.Linear(16, 8)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(tokens)))


def model():
$before    return Small(), (torch.randn(4, 16),)
'''

_MISBEHAVING = """\


import ctypes
import os
import resource
import signal
import subprocess
import threading
import time

CALLS, HIT, AT, DELAY_S = $calls, $hit, $at, $delay_s
KEPT = []


def misbehave_in_selected_call():
    with open(CALLS, "ab") as file:
        file.write(b".")
    if os.path.getsize(CALLS) != AT:
        return
    if DELAY_S:
        threading.Timer(DELAY_S, misbehave).start()
    else:
        misbehave()


def misbehave():
    with open(HIT, "wb"):
        pass
$body
"""

_BODIES = {
    "segfault": ("ctypes.string_at(8)",),
    "abort": ("os.abort()", "os._exit(0)", "os._exit(9)"),
    "loop": (
        "while True: pass",
        "time.sleep(1e6)",
        "os.kill(os.getpid(), signal.SIGSTOP)",
    ),
    "flood": (
        "end = time.monotonic() + 2\n    while time.monotonic() < end: os.write(1, b'line of a flood\\n' * 4000)",
        "for _ in range(300): os.write(1, b'no end of line ' * 4000)",
        "for _ in range(200): os.write(2, b'\\n' * 60000)",
    ),
    "memory": (
        "status = open('/proc/self/statm').read().split()\n"
        "    limit = int(status[0]) * 4096 + (32 << 20)\n"
        "    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "    try:\n"
        "        while True: KEPT.append(bytearray(1 << 16))\n"
        "    except MemoryError:\n"
        "        del KEPT[:8]",
        "status = open('/proc/self/statm').read().split()\n"
        "    limit = int(status[0]) * 4096\n"
        "    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))",
    ),
    "close": ("os.closerange(3, 64)", "os.closerange(0, 3)"),
    "spawn": (
        "subprocess.Popen(['sleep', '600'])",
        "subprocess.Popen(['sleep', '600'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False)",
    ),
}

LONGEST_DELAY_S = 0.15
_AT_ONCE = frozenset({"loop", "memory"})
"""Faults that are not misbehaviour in a thread, because the worker's own work would continue."""


def write_model(file: Path, name: str) -> str:
    """Write a well-behaved model and return its reference for etui. Another ``name`` is another model."""
    file.write_text(Template(_MODEL).substitute(name=name, before=""))
    return f"{file}:model"


def write_misbehaving(file: Path, name: str, fault: str, call: int, dice: random.Random) -> tuple[str, Path]:
    """Write a model whose factory misbehaves when it is called for the ``call``-th time, in any process, at once or
    from a thread a moment later. Return its reference for etui, and the file that exists once it has misbehaved."""
    hit = file.with_suffix(".hit")
    body = dice.choice(_BODIES[fault])
    delay_s = 0.0 if fault in _AT_ONCE or dice.random() < 0.5 else round(dice.uniform(0.01, LONGEST_DELAY_S), 3)
    text = Template(_MODEL).substitute(name=name, before="    misbehave_in_selected_call()\n")
    text += Template(_MISBEHAVING).substitute(
        calls=repr(str(file.with_suffix(".calls"))), hit=repr(str(hit)), at=call, delay_s=delay_s, body=f"    {body}"
    )
    file.write_text(text)
    return f"{file}:model", hit
