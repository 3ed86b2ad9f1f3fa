"""Create hostile values and change valid ones: numbers, texts, JSON trees, and bytes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

FLOATS: tuple[float, ...] = (
    0.0, -0.0, 1.0, -1.0, 0.5, 1e-7, 1e-6, 9.99e-7, 1e9, 1e9 + 1, 1e-15, 1e15, 5e-324, -5e-324, 1e-320,
    2.2250738585072014e-308,
    1e-300, 1e-200, 1e-100, 1e100, 1.1e100, 1e200, 1e300, 1e307, 1e308, -1e308, 1.7976931348623157e308,
    3.4028234663852886e38,
    1e-45, 0.1, 99.99, 100.0, 1e16, 123456.789,
)  # fmt: skip
INTEGERS: tuple[int, ...] = (
    0, 1, -1, 2, 3, 7, 10, 100, 127, 128, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32, 2**53, 2**53 + 1, 2**62,
    2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**30,
)  # fmt: skip
TEXTS: tuple[str, ...] = (
    "", " ", "-", "--", "a", "0", "NaN", "None", "null", "resnet18", "int8", "xnnpack", "eager", "fp32",
    "done", "\x00", "\n",
    "\r\n", "\t", "a\nb", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b31m", "\u202egnp.exe", "\u061c",
    "\u200b", "\ufeff",
    "\U000e0041", "é", "e\u0301" * 20, "日本語", "🦀" * 5, "[bold]x[/bold]", "[/]", "[@click=app.quit]x[/]",
    "<b>&amp;</b>", "a|b`c*",
    "=1+1", "%s%n", "{0}", "../../etc/passwd", "/dev/null", "~root", "~nouser/x", "a" * 300, "x" * 5000, "a.b" * 200,
    "." * 500, "/" * 500, "2026-11-20", "2026-11-20T10:00:00.000Z", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-11-20T10:00:00", "9999-12-31", "20261120", "2026-W47-5", "\ud800", "a\udcff", "';--", "\\", '"', "'",
)  # fmt: skip


def a_float(rng: random.Random) -> float:
    """Return an edge case, or a number of any magnitude."""
    if rng.random() < 0.7:
        return rng.choice(FLOATS)
    return rng.choice((-1, 1, 1, 1)) * rng.random() * 10.0 ** rng.randint(-320, 307)


def an_integer(rng: random.Random) -> int:
    """Return an edge case, or an integer of any size."""
    return rng.choice(INTEGERS) if rng.random() < 0.8 else rng.getrandbits(rng.randint(1, 70)) - (1 << 20)


def a_text(rng: random.Random) -> str:
    """Return a text that is difficult to handle."""
    if rng.random() < 0.8:
        return rng.choice(TEXTS)
    alphabet = "abc019 .-_:/<>=~*\"'\n\t\x1b[]()é日\u202e\U0001f600"
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(0, 30)))


def a_value(rng: random.Random, depth: int = 0) -> Any:
    """Return any JSON value."""
    kind = rng.randrange(10 if depth < 3 else 6)
    if kind == 0:
        return None
    if kind == 1:
        return rng.random() < 0.5
    if kind == 2:
        return an_integer(rng)
    if kind == 3:
        return a_float(rng)
    if kind < 6:
        return a_text(rng)
    if kind == 9 and rng.random() < 0.05:
        return nested(rng, rng.choice((50, 70, 300, 900)))
    count = rng.randint(0, 3)
    if kind < 8:
        return [a_value(rng, depth + 1) for _ in range(count)]
    return {a_text(rng): a_value(rng, depth + 1) for _ in range(count)}


def nested(rng: random.Random, depth: int) -> Any:
    """Return lists or objects nested to this depth."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if rng.random() < 0.5 else {"a": value}
    return value


def like(rng: random.Random, value: Any) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return an_integer(rng)
    if isinstance(value, float):
        return rng.choice((a_float(rng), value * rng.choice((0.5, 1.01, 2, 1e3, 1e-3, -1))))
    if isinstance(value, str):
        return a_text(rng)
    if isinstance(value, list):
        return _other_list(rng, value)
    if isinstance(value, dict):
        kept = [key for key in value if rng.random() < 0.8]
        return {key: value[key] for key in kept}
    return a_value(rng)


def _other_list(rng: random.Random, value: list[Any]) -> list[Any]:
    choice = rng.randrange(5)
    if choice == 0 or not value:
        return []
    if choice == 1:
        return value * rng.choice((2, 3, 40))
    if choice == 2:
        return value[: rng.randrange(len(value) + 1)]
    if choice == 3:
        return rng.sample(value, len(value))
    return [like(rng, one) if rng.random() < 0.5 else one for one in value]


def paths_of(tree: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the paths of all values of a tree but the root; of a long list of numbers only a few."""
    paths: list[tuple[str | int, ...]] = []
    if isinstance(tree, dict):
        steps: Sequence[str | int] = list(tree)
    elif isinstance(tree, list):
        steps = range(len(tree)) if len(tree) < 12 else (0, 1, len(tree) // 2, len(tree) - 1)
    else:
        return paths
    for step in steps:
        paths.append((*path, step))
        paths += paths_of(tree[step], (*path, step))
    return paths


def change_tree(rng: random.Random, tree: Any, *, same_kind: float = 0.7) -> None:
    """Change one place of a tree: mostly to a value of the same kind, otherwise to any value, or remove it."""
    paths = paths_of(tree)
    if not paths:
        return
    path = rng.choice(paths)
    holder = tree
    for step in path[:-1]:
        holder = holder[step]
    last = path[-1]
    draw = rng.random()
    if draw < same_kind:
        holder[last] = like(rng, holder[last])
    elif draw < same_kind + 0.15:
        holder[last] = a_value(rng)
    elif draw < same_kind + 0.2:
        del holder[last]
    else:
        other: Any = tree
        for step in rng.choice(paths):
            other = other[step]
        # A part of the tree inside itself would be infinite.
        holder[last] = other if not isinstance(other, dict | list) else a_value(rng)


def change_numbers(rng: random.Random, tree: Any, share: float) -> None:
    """Set a share of the floats of a tree to any float."""
    if isinstance(tree, dict | list):
        for step in tree if isinstance(tree, dict) else range(len(tree)):
            if isinstance(tree[step], float):
                if rng.random() < share:
                    tree[step] = a_float(rng)
            else:
                change_numbers(rng, tree[step], share)


def change_bytes(rng: random.Random, data: bytes, most: int = 4) -> bytes:
    """Change a few places of some bytes; truncate, duplicate or move a part of them."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, most)):
        size = len(changed)
        if not size:
            return bytes(rng.randbytes(rng.randint(0, 50)))
        place = rng.randrange(size)
        length = min(size - place, rng.choice((1, 2, 4, 8, 16, 100, 1000)))
        kind = rng.randrange(9)
        if kind == 0:
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 2:
            word = rng.choice((0, 1, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, size, rng.getrandbits(32)))
            changed[place : place + 4] = word.to_bytes(4, rng.choice(("little", "big")))
        elif kind == 3:
            del changed[place : place + length]
        elif kind == 4:
            changed[place:place] = rng.randbytes(length)
        elif kind == 5:
            del changed[place:]
        elif kind == 6:
            changed[place:place] = changed[place : place + length]
        elif kind == 7:
            changed[place : place + length] = bytes(length)
        else:
            other = rng.randrange(size)
            changed[place : place + length] = changed[other : other + length]
    return bytes(changed)
