"""Grouping of a profile's operators by module or name, program next to eager, with a check of their sum.

Every operator counts once: in its module's group and, through sums, in the parent groups. Milliseconds are per
inference; the values of a side without operators in a group are None, not zero.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from etui.analysis.operator_kinds import kind_of_operator
from etui.insight import Operator, OperatorSide, Profile
from etui.text import change_size, percent

AGREES_WITHIN = 0.10
"""Largest relative deviation at which the sum of the operators agrees with the measured inference."""

SORTS = ("share", "ms", "eager", "p90", "calls", "name", "order")
Sort = Literal["share", "ms", "eager", "p90", "calls", "name", "order"]

MOST_NESTED = 64
"""Maximum depth of a module tree; deeper paths are one node. Models are never so deep, but an imported path may be."""

_NUMBER = re.compile(r"\s*#\d+$")


class Group(msgspec.Struct, kw_only=True):
    """A group of operators of both sides. ``path`` is a module's full path or an operator's name.

    ``median_ms`` is the sum of the operators' medians, ``share`` (0 to 1) their share of the time of all operators of
    the program; the eager fields likewise. ``p90_ms`` is known only for a single operator, because high percentiles do
    not add up. ``delegated`` (0 to 1) is the share of the program's time in this group that delegates ran.
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
    """A group in an outline: its depth, and its name relative to the parent line."""

    group: Group
    depth: int
    label: str
    is_open: bool = False


MODEL_ITSELF, NOT_KNOWN, ITS_OWN = "(the model itself)", "(not known)", "(its own operators)"
BESIDE_MODULES = (MODEL_ITSELF, NOT_KNOWN)
"""Groups that are not modules, listed next to the model's modules."""

WORTH_OPENING = 0.15
"""An outline opens modules with at least this share of the time, of the program or of eager."""


def module_tree(profile: Profile) -> Group:
    """Return the modules of the source model as a tree with the times of both sides; the root is the whole model.

    Operators of the model itself, and those of unknown origin, are separate groups next to its modules.
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
    """Return the group of a module in a tree; None if the tree has no such module."""
    if not module:
        return root
    for child in root.children:
        if child.path == module:
            return child
        if module.startswith(f"{child.path}."):
            return below(child, module)
    return None


def opened(group: Group) -> Group:
    """Return the first informative group from ``group`` downwards: skip modules that only contain another module."""
    while not group.operators and not group.eager_operators:
        inner = [child for child in group.children if child.path not in BESIDE_MODULES]
        if len(inner) != 1 or not inner[0].children:
            break
        group = inner[0]
    return group


def outline(root: Group, sort: Sort, limit: int, module: str = "") -> tuple[Group, list[Line]]:
    """Return the modules as a tree to print, and its top group: the given module, or the first informative group.

    The modules with the largest share are opened as far as ``limit`` lines allow; 0 opens all. If the rows of the top
    group alone exceed the limit, all of them are returned and none is open. Raises KeyError if the tree has no such
    module.
    """
    top = below(root, module) if module else opened(root)
    if top is None:
        raise KeyError(module)
    extra = [] if module or top is root else [group for group in root.children if group.path in BESIDE_MODULES]
    top_rows = in_order([*(rows_of(top) if module else _modules_and_own(top)), *extra], sort)
    open_rows: dict[int, list[Group]] = {}
    count, pending = len(top_rows), [(group, opened(group)) for group in top_rows]
    while pending:
        group, inner = pending.pop(max(range(len(pending)), key=lambda index: _largest_share(pending[index][0])))
        rows = _modules_and_own(inner)
        fits = not limit or (count + len(rows) <= limit and _largest_share(group) >= WORTH_OPENING)
        if inner.children and fits:
            open_rows[id(inner)] = in_order(rows, sort)
            count += len(rows)
            pending += [(row, opened(row)) for row in rows]
    return top, list(_lines(top_rows, top, open_rows, 0))


def _modules_and_own(group: Group) -> list[Group]:
    """Return the modules in a group and its own operators as one row; each operator if the group has no modules."""
    if not group.children or len(group.operators) + len(group.eager_operators) <= 1:
        return rows_of(group)
    return [*group.children, summed(group.path, ITS_OWN, group.operators, group.eager_operators, order=group.order)]


def _largest_share(group: Group) -> float:
    return max(group.share or 0.0, group.eager_share or 0.0)


def _lines(groups: Iterable[Group], parent: Group, open_rows: dict[int, list[Group]], depth: int) -> Iterable[Line]:
    for group in groups:
        inner = opened(group)
        rows = open_rows.get(id(inner), [])
        label = inner.path.removeprefix(f"{parent.path}.") if group.children else group.name
        yield Line(inner if group.children else group, depth, label, is_open=bool(rows))
        yield from _lines(rows, inner, open_rows, depth + 1)


def rows_of(group: Group) -> list[Group]:
    """Return the contents of a group: its modules, and its own operators by name."""
    return [*group.children, *_by_name(group.operators, group.eager_operators)]


def by_operator(profile: Profile, module: str = "") -> list[Group]:
    """Return the operators of both sides grouped by name without their numbers; only those in ``module`` and its
    submodules if it is given."""

    def selected(operators: Iterable[Operator]) -> list[Operator]:
        return [
            operator
            for operator in operators
            if not module or operator.origin.module == module or operator.origin.module.startswith(f"{module}.")
        ]

    return _by_name(selected(profile.program.operators), selected(profile.eager.operators if profile.eager else []))


def by_kind(side: OperatorSide) -> list[tuple[str, float]]:
    """Return the kinds of work of a side with their shares (0 to 1) of the operators' time, the largest first; empty if
    the operators' total time is zero."""
    kinds: dict[str, float] = {}
    for operator in side.operators:
        kind = kind_of_operator(operator)
        kinds[kind] = kinds.get(kind, 0.0) + operator.median_ms
    total = sum(kinds.values())
    return sorted(((kind, ms / total) for kind, ms in kinds.items()), key=lambda item: -item[1]) if total else []


def one_by_one(side: OperatorSide, module: str = "") -> list[Group]:
    """Return each operator of a side as a group, in execution order; only those in ``module`` if it is given."""
    groups = []
    for order, operator in enumerate(side.operators):
        path = operator.origin.module
        if module and path != module and not path.startswith(f"{module}."):
            continue
        groups.append(summed(path, operator.name, [operator], order=order))
    return groups


def in_order(groups: Sequence[Group], sort: Sort) -> list[Group]:
    """Return groups sorted by a column: values descending, missing ones last; names and execution order ascending."""
    if sort in ("name", "order"):
        key: Callable[[Group], object] = (
            (lambda group: group.name.lower()) if sort == "name" else (lambda group: group.order)
        )
        return sorted(groups, key=key)  # type: ignore[arg-type]
    field = {
        "share": "share", "ms": "median_ms", "eager": "eager_ms", "p90": "p90_ms", "calls": "calls",
    }[sort]  # fmt: skip

    def value_key(group: Group) -> tuple[bool, float, float]:
        value = getattr(group, field)
        return value is None, -(value or 0.0), -(group.eager_ms or 0.0)

    return sorted(groups, key=value_key)


def without_number(name: str) -> str:
    """Return an operator's name without its sequence number: ``Add (ND)`` for ``Add (ND) #3``."""
    return _NUMBER.sub("", name)


def sum_check(side: OperatorSide, name: str) -> str:
    """Return a sentence on whether the operators add up to the inference without tracing."""
    measured = side.untraced_ms if side.untraced_ms is not None else side.inference_ms
    if measured <= 0:
        return f"{name}: the sum of the operators cannot be compared with an inference."
    deviation = side.operators_ms / measured - 1
    sums = f"{name}: sum of operators {_ms(side.operators_ms)} ms, measured inference {_ms(measured)} ms"
    if abs(deviation) <= AGREES_WITHIN:
        return f"{sums}: they agree within {percent(AGREES_WITHIN)}."
    direction = "less" if deviation < 0 else "more"
    if deviation < 0:
        reason = "; time between operators, and of rare events, belongs to none of them"
    elif (overhead(side) or 0.0) > AGREES_WITHIN / 2:
        reason = "; tracing slowed the operators down"
    else:
        reason = "; the medians of operators need not add up to the median of an inference"
    size = change_size(100 * deviation) if deviation > 1 else percent(abs(deviation))
    return f"{sums}: {size} {direction}{reason}."


def agrees(side: OperatorSide) -> bool:
    """Whether the operators' sum agrees with the untraced inference within ``AGREES_WITHIN``."""
    measured = side.untraced_ms if side.untraced_ms is not None else side.inference_ms
    return measured > 0 and abs(side.operators_ms / measured - 1) <= AGREES_WITHIN


def overhead(side: OperatorSide) -> float | None:
    """Return the overhead of tracing as a share of the untraced inference; None if that was not measured."""
    if not side.untraced_ms:
        return None
    return side.inference_ms / side.untraced_ms - 1


def overhead_words(side: OperatorSide) -> str:
    """Return the overhead of tracing as text."""
    added = overhead(side)
    if added is None:
        return "the overhead of tracing was not measured"
    if added <= 0.005:
        return "tracing has no measurable overhead"
    if added > 1:
        return f"tracing makes an inference slower by {change_size(100 * added)}"
    return f"tracing adds {percent(added, 1)} to an inference"


def _group_of(operator: Operator, groups: dict[str, Group], order: int) -> Group:
    path = operator.origin.module
    root = groups[""]
    if not path:
        name = MODEL_ITSELF if operator.origin.is_known else NOT_KNOWN
        if name not in groups:
            groups[name] = Group(path=name, name=name, order=order)
            root.children.append(groups[name])
        return groups[name]
    parent, parts = root, path.split(".", MOST_NESTED - 1)
    for end in range(1, len(parts) + 1):
        prefix = ".".join(parts[:end])
        if prefix not in groups:
            groups[prefix] = Group(path=prefix, name=parts[end - 1], order=order)
            parent.children.append(groups[prefix])
        parent = groups[prefix]
    return parent


def _add_up(group: Group) -> None:
    for child in group.children:
        _add_up(child)
    program = [
        *group.operators,
        *(operator for child in group.children for operator in _all_operators(child, eager=False)),
    ]
    eager = [
        *group.eager_operators,
        *(operator for child in group.children for operator in _all_operators(child, eager=True)),
    ]
    if program:
        group.calls = sum(operator.calls for operator in program)
        group.median_ms = sum(operator.median_ms for operator in program)
        group.share = sum(operator.share for operator in program)
        delegated_ms = sum(operator.median_ms for operator in program if operator.delegate is not None)
        # If the operators are too short for the clock, use the share of delegated operators.
        delegated_count_share = sum(operator.delegate is not None for operator in program) / len(program)
        group.delegated = delegated_ms / group.median_ms if group.median_ms else delegated_count_share
        group.p90_ms = program[0].p90_ms if len(program) == 1 else None
    if eager:
        group.eager_calls = sum(operator.calls for operator in eager)
        group.eager_ms = sum(operator.median_ms for operator in eager)
        group.eager_share = sum(operator.share for operator in eager)


def _all_operators(group: Group, *, eager: bool) -> list[Operator]:
    own = group.eager_operators if eager else group.operators
    return [*own, *(operator for child in group.children for operator in _all_operators(child, eager=eager))]


def _by_name(program: Sequence[Operator], eager: Sequence[Operator]) -> list[Group]:
    groups: dict[str, Group] = {}
    for operators, is_eager in ((program, False), (eager, True)):
        for operator in operators:
            name = without_number(operator.name)
            # The two sides use different names for the same work, so they are compared by module, not by name.
            key = f"{'eager ' if is_eager else ''}{name}"
            if key not in groups:
                groups[key] = Group(path=operator.origin.module, name=name, order=len(groups))
            (groups[key].eager_operators if is_eager else groups[key].operators).append(operator)
    for group in groups.values():
        _add_up(group)
    return list(groups.values())


def _ms(value: float) -> str:
    return f"{value:.4g}"
