"""What a profile says: operators grouped by module or by name, two sides beside each other, and how far they hold.

Every operator counts once: in its module's node and, through sums, in those above it. Milliseconds are an inference's;
a side that has nothing there is None, not zero.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from etui.analysis.operator_kinds import kind_of_operator
from etui.insight import Operator, OperatorSide, Profile
from etui.text import percent

AGREES_WITHIN = 0.10
"""The sum of the operators agrees with the measured inference within this share."""

SORTS = ("share", "ms", "eager", "p90", "calls", "name", "order")
Sort = Literal["share", "ms", "eager", "p90", "calls", "name", "order"]

MOST_NESTED = 64
"""Levels of modules that a tree has; what is nested deeper stands as one. No model is, but an imported path may be."""

_NUMBER = re.compile(r"\s*#\d+$")


class Group(msgspec.Struct, kw_only=True):
    """Operators that belong together, of both sides. ``path`` is a module's full path or an operator's name.

    ``median_ms`` is the sum of the operators' medians, ``share`` (0 to 1) the part of the program's operators; the
    eager figures likewise. ``p90_ms`` is known of a single operator alone: high percentiles do not add up.
    ``delegated`` (0 to 1) is the part of the program's time here that delegates ran.
    """

    path: str
    name: str
    module_type: str = ""
    calls: int | None = None
    median_ms: float | None = None
    p90_ms: float | None = None
    share: float | None = None
    delegated: float | None = None
    eager_calls: int | None = None
    eager_ms: float | None = None
    eager_share: float | None = None
    order: int = 0
    children: list[Group] = []
    operators: list[Operator] = []
    eager_operators: list[Operator] = []


class Line(msgspec.Struct, frozen=True):
    """A group in an outline: how deep it stands, and its name from the line above it on."""

    group: Group
    depth: int
    label: str
    is_open: bool = False


MODEL_ITSELF, NOT_KNOWN, ITS_OWN = "(the model itself)", "(not known)", "(its own operators)"
BESIDE_MODULES = (MODEL_ITSELF, NOT_KNOWN)
"""Groups that are not modules, listed next to the model's modules."""

WORTH_OPENING = 0.15
"""An outline opens modules with at least this share of the time, of the program or of eager."""


def is_known(operator: Operator) -> bool:
    """Whether it is known which module an operator comes from; of the model itself the path is empty."""
    origin = operator.origin
    return bool(origin.module or origin.module_type or origin.stack)


def module_tree(profile: Profile) -> Group:
    """The modules of the source model as a tree with the times of both sides; the root is the whole model.

    What the model itself runs, and what is not known, stand as groups of their own beside its modules.
    """
    root = Group(path="", name="")
    groups: dict[str, Group] = {"": root}
    sides = ((profile.program, False), (profile.eager, True)) if profile.eager else ((profile.program, False),)
    for side, eager in sides:
        for order, operator in enumerate(side.operators):
            group = _group_of(operator, groups, order)
            (group.eager_operators if eager else group.operators).append(operator)
            if operator.origin.module and not group.module_type:
                group.module_type = operator.origin.module_type
    _add_up(root)
    return root


def summed(
    path: str, name: str, operators: Sequence[Operator], eager_operators: Sequence[Operator] = (), *, order: int = 0
) -> Group:
    """Return a group of these operators with their sums."""
    group = Group(path=path, name=name, order=order, operators=list(operators), eager_operators=list(eager_operators))
    _add_up(group)
    return group


def below(root: Group, module: str) -> Group | None:
    """The group of a module in a tree; None where the tree has no such module."""
    if not module:
        return root
    for child in root.children:
        if child.path == module:
            return child
        if module.startswith(f"{child.path}."):
            return below(child, module)
    return None


def opened(group: Group) -> Group:
    """The first group from here on that is worth opening: a module that only holds another one says nothing."""
    while not group.operators and not group.eager_operators:
        inner = [child for child in group.children if child.path not in BESIDE_MODULES]
        if len(inner) != 1 or not inner[0].children:
            break
        group = inner[0]
    return group


def outline(root: Group, sort: Sort, limit: int, module: str = "") -> tuple[Group, list[Line]]:
    """The modules as a tree to print, and the group it is of: the one that was named, or the first worth opening.

    The heaviest modules are opened as far as ``limit`` lines allow; 0 opens all. Where the rows of the group alone are
    more than that they are all there, and none is open. Raises KeyError where the tree has no such module.
    """
    top = below(root, module) if module else opened(root)
    if top is None:
        raise KeyError(module)
    beside = [] if module or top is root else [one for one in root.children if one.path in BESIDE_MODULES]
    first = in_order([*(rows_of(top) if module else _folded(top)), *beside], sort)
    inside: dict[int, list[Group]] = {}
    count, waiting = len(first), [(one, opened(one)) for one in first]
    while waiting:
        one, inner = waiting.pop(max(range(len(waiting)), key=lambda index: _weight(waiting[index][0])))
        rows = _folded(inner)
        fits = not limit or (count + len(rows) <= limit and _weight(one) >= WORTH_OPENING)
        if inner.children and fits:
            inside[id(inner)] = in_order(rows, sort)
            count += len(rows)
            waiting += [(row, opened(row)) for row in rows]
    return top, list(_lines(first, top, inside, 0))


def _folded(group: Group) -> list[Group]:
    """The modules in a group, and all that is its own as one row; the operators themselves where it holds no module."""
    if not group.children or len(group.operators) + len(group.eager_operators) <= 1:
        return rows_of(group)
    return [*group.children, summed(group.path, ITS_OWN, group.operators, group.eager_operators, order=group.order)]


def _weight(group: Group) -> float:
    return max(group.share or 0.0, group.eager_share or 0.0)


def _lines(groups: Iterable[Group], above: Group, inside: dict[int, list[Group]], depth: int) -> Iterable[Line]:
    for group in groups:
        inner = opened(group)
        rows = inside.get(id(inner), [])
        label = inner.path.removeprefix(f"{above.path}.") if group.children else group.name
        yield Line(inner if group.children else group, depth, label, is_open=bool(rows))
        yield from _lines(rows, inner, inside, depth + 1)


def rows_of(group: Group) -> list[Group]:
    """What a group is made of: the modules in it, and each operator that is its own, by name."""
    return [*group.children, *_by_name(group.operators, group.eager_operators)]


def by_operator(profile: Profile, module: str = "") -> list[Group]:
    """The operators of both sides by name, the numbers that only tell them apart taken off; of one module and what is
    in it, where one is named."""

    def inside(operators: Iterable[Operator]) -> list[Operator]:
        return [
            one
            for one in operators
            if not module or one.origin.module == module or one.origin.module.startswith(f"{module}.")
        ]

    return _by_name(inside(profile.program.operators), inside(profile.eager.operators if profile.eager else []))


def by_kind(side: OperatorSide) -> list[tuple[str, float]]:
    """The kinds of work of a side and the part (0 to 1) of the operators' time each takes, the largest first; empty
    where no operator takes any."""
    kinds: dict[str, float] = {}
    for one in side.operators:
        kind = kind_of_operator(one)
        kinds[kind] = kinds.get(kind, 0.0) + one.median_ms
    total = sum(kinds.values())
    return sorted(((kind, spent / total) for kind, spent in kinds.items()), key=lambda item: -item[1]) if total else []


def one_by_one(side: OperatorSide, module: str = "") -> list[Group]:
    """Each operator of a side in the order they ran."""
    found = []
    for order, operator in enumerate(side.operators):
        path = operator.origin.module
        if module and path != module and not path.startswith(f"{module}."):
            continue
        found.append(summed(path, operator.name, [operator], order=order))
    return found


def in_order(groups: Sequence[Group], sort: Sort) -> list[Group]:
    """Groups by a column: figures from the largest down, those without one last; names and order from the first up."""
    if sort in ("name", "order"):
        key: Callable[[Group], object] = (lambda one: one.name.lower()) if sort == "name" else (lambda one: one.order)
        return sorted(groups, key=key)  # type: ignore[arg-type]
    field = {
        "share": "share", "ms": "median_ms", "eager": "eager_ms", "p90": "p90_ms", "calls": "calls",
    }[sort]  # fmt: skip

    def figure(one: Group) -> tuple[bool, float, float]:
        value = getattr(one, field)
        return value is None, -(value or 0.0), -(one.eager_ms or 0.0)

    return sorted(groups, key=figure)


def bare_name(name: str) -> str:
    """An operator's name without the number that tells it from others of its kind: ``Add (ND)`` for ``Add (ND) #3``."""
    return _NUMBER.sub("", name)


def sum_check(side: OperatorSide, name: str) -> str:
    """Whether the operators add up to the inference without tracing, in a sentence."""
    measured = side.untraced_ms if side.untraced_ms is not None else side.inference_ms
    if measured <= 0:
        return f"{name}: the sum of the operators cannot be compared with an inference."
    off = side.operators_ms / measured - 1
    found = f"{name}: sum of operators {_ms(side.operators_ms)} ms, measured inference {_ms(measured)} ms"
    if abs(off) <= AGREES_WITHIN:
        return f"{found}: they agree within {percent(AGREES_WITHIN)}."
    direction = "less" if off < 0 else "more"
    if off < 0:
        why = "; time between operators, and of rare events, belongs to none of them"
    elif (overhead(side) or 0.0) > AGREES_WITHIN / 2:
        why = "; tracing slowed the operators down"
    else:
        why = "; the medians of operators need not add up to the median of an inference"
    return f"{found}: {percent(abs(off))} {direction}{why}."


def agrees(side: OperatorSide) -> bool:
    """Whether the operators' sum is near the untraced inference."""
    measured = side.untraced_ms if side.untraced_ms is not None else side.inference_ms
    return measured > 0 and abs(side.operators_ms / measured - 1) <= AGREES_WITHIN


def overhead(side: OperatorSide) -> float | None:
    """What tracing adds to an inference, as a part of the untraced one; None where that was not measured."""
    if not side.untraced_ms:
        return None
    return side.inference_ms / side.untraced_ms - 1


def overhead_words(side: OperatorSide) -> str:
    """What tracing adds to an inference, in a few words."""
    added = overhead(side)
    if added is None:
        return "the overhead of tracing was not measured"
    if added <= 0.005:
        return "tracing has no measurable overhead"
    return f"tracing adds {percent(added, 1)} to an inference"


def _group_of(operator: Operator, groups: dict[str, Group], order: int) -> Group:
    path = operator.origin.module
    root = groups[""]
    if not path:
        name = MODEL_ITSELF if is_known(operator) else NOT_KNOWN
        if name not in groups:
            groups[name] = Group(path=name, name=name, order=order)
            root.children.append(groups[name])
        return groups[name]
    above, parts = root, path.split(".", MOST_NESTED - 1)
    for end in range(1, len(parts) + 1):
        whole = ".".join(parts[:end])
        if whole not in groups:
            groups[whole] = Group(path=whole, name=parts[end - 1], order=order)
            above.children.append(groups[whole])
        above = groups[whole]
    return above


def _add_up(group: Group) -> None:
    for child in group.children:
        _add_up(child)
    program = [*group.operators, *(one for child in group.children for one in _all(child, eager=False))]
    eager = [*group.eager_operators, *(one for child in group.children for one in _all(child, eager=True))]
    if program:
        group.calls = sum(one.calls for one in program)
        group.median_ms = sum(one.median_ms for one in program)
        group.share = sum(one.share for one in program)
        inside = sum(one.median_ms for one in program if one.delegate is not None)
        # Where all of it is too short for the clock, what ran it still says where.
        everywhere = sum(one.delegate is not None for one in program) / len(program)
        group.delegated = inside / group.median_ms if group.median_ms else everywhere
        group.p90_ms = program[0].p90_ms if len(program) == 1 else None
    if eager:
        group.eager_calls = sum(one.calls for one in eager)
        group.eager_ms = sum(one.median_ms for one in eager)
        group.eager_share = sum(one.share for one in eager)


def _all(group: Group, *, eager: bool) -> list[Operator]:
    own = group.eager_operators if eager else group.operators
    return [*own, *(one for child in group.children for one in _all(child, eager=eager))]


def _by_name(program: Sequence[Operator], eager: Sequence[Operator]) -> list[Group]:
    found: dict[str, Group] = {}
    for operators, is_eager in ((program, False), (eager, True)):
        for operator in operators:
            name = bare_name(operator.name)
            # The two sides name the same work otherwise; side by side stands what the modules hold, not the names.
            key = f"{'eager ' if is_eager else ''}{name}"
            if key not in found:
                found[key] = Group(path=operator.origin.module, name=name, order=len(found))
            (found[key].eager_operators if is_eager else found[key].operators).append(operator)
    for group in found.values():
        _add_up(group)
    return list(found.values())


def _ms(value: float) -> str:
    return f"{value:.4g}"
