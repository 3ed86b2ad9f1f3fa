"""From the nested events of an ETDump to operators that are counted once, each with where it comes from.

An instruction is one OPERATOR_CALL, which holds the kernel's own ``native_call_*``, or one DELEGATE_CALL, which holds
the events of the backend's operators where that tells of them. Of an operator the outer event is taken; of a delegate
the inner ones, and what is left of the call stands as one more line of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from etui.engine.profile.aggregate import Seen, Times
from etui.engine.profile.etdump import DELEGATE, METHOD, NATIVE, OPERATOR, TracedEvent
from etui.formats.chrome_trace import Span
from etui.insight import Origin
from etui.programs.source_map import SourceMap, Subgraph
from etui.programs.xnnpack import match_events

_NOWHERE = Origin()
_TOLERANCE = 1.02
"""Inner events that take more than their call by this factor lie within each other and cannot be summed."""


class OperatorEvents:
    """Takes in one inference after the other; ``seen`` are the operators of all of them in the order they first ran.

    ``backend`` is what a delegate is called that the source map does not name.
    """

    def __init__(self, source: SourceMap | None, backend: str = "delegate") -> None:
        self._source = source
        self._default = backend
        self._subgraphs = {one.instruction: one for one in source.subgraphs} if source else {}
        self._numbers: dict[int, int] = {}
        self._known: dict[tuple[object, ...], Seen] = {}
        self._matched: dict[tuple[int, tuple[str, ...]], list[Origin]] = {}
        self._nested = False
        self._silent: dict[str, None] = {}

    @property
    def seen(self) -> list[Seen]:
        return list(self._known.values())

    def add(self, events: Sequence[TracedEvent]) -> Times:
        """The times of one inference's operators."""
        times: dict[tuple[object, ...], tuple[int, float]] = {}
        for seen, _start, duration_ns in self._leaves(events):
            calls, spent_ms = times.get(seen.key, (0, 0.0))
            times[seen.key] = calls + 1, spent_ms + duration_ns / 1e6
        return times

    def spans(self, events: Sequence[TracedEvent]) -> list[Span]:
        """One inference as a timeline: its operators, and the calls of delegates around theirs."""
        begin = min((event.start_ns for event in events if event.name == METHOD), default=events[0].start_ns)
        spans = [
            Span(
                name=seen.name,
                start_ns=max(0, start - begin),
                duration_ns=duration,
                category=seen.delegate or "operator",
                module=seen.origin.module,
            )
            for seen, start, duration in self._leaves(events)
            if start is not None
        ]
        for event in events:
            if event.name == DELEGATE:
                name = self._backend(event.instruction)
                spans.append(
                    Span(
                        name=f"{name} subgraph {self._numbers[event.instruction]}",
                        start_ns=max(0, event.start_ns - begin),
                        duration_ns=event.end_ns - event.start_ns,
                        category="delegate",
                    )
                )
        return spans

    def notes(self) -> list[str]:
        """What must be known with the operators."""
        found = []
        if self._source is None:
            found.append("Where the operators come from in the model is not known: the program has no source map.")
        if self._nested:
            found.append("The delegate's own events lie within each other, so each of its calls counts as one.")
        place = ", of the module that holds all of it" if self._source is not None else ""
        for backend in self._silent:
            found.append(f"{backend} does not time its own operators: each of its subgraphs is one line here{place}.")
        return found

    def _leaves(self, events: Sequence[TracedEvent]) -> list[tuple[Seen, int | None, int]]:
        """Operator, begin and duration in nanoseconds; the rest of a delegate's call has no begin."""
        found: list[tuple[Seen, int | None, int]] = []
        native, inner = "", list[TracedEvent]()
        for event in events:
            if event.name.startswith(NATIVE):
                native = event.name.removeprefix(NATIVE)
            elif event.name == OPERATOR:
                found.append((self._operator(event, native), event.start_ns, event.end_ns - event.start_ns))
                native = ""
            elif event.name == DELEGATE:
                found += self._delegate(event, [one for one in inner if one.instruction == event.instruction])
                inner = []
            elif event.inner:
                inner.append(event)
        return found

    def _operator(self, event: TracedEvent, native: str) -> Seen:
        key: tuple[object, ...] = (event.chain, event.instruction)
        if key not in self._known:
            number = self._source.instructions.get(event.instruction) if self._source else None
            origin = self._source.origins[number] if self._source and number is not None else _NOWHERE
            name = native or ", ".join(origin.operators) or f"instruction {event.instruction}"
            self._known[key] = Seen(key, name, None, None, origin)
        return self._known[key]

    def _delegate(self, call: TracedEvent, inner: list[TracedEvent]) -> list[tuple[Seen, int | None, int]]:
        whole = call.end_ns - call.start_ns
        subgraph = self._numbers.setdefault(call.instruction, len(self._numbers))
        backend = self._backend(call.instruction)
        spent = sum(event.end_ns - event.start_ns for event in inner)
        if spent > whole * _TOLERANCE and spent - whole > 1000 * len(inner):
            self._nested = True
            inner = []
        elif not inner:
            self._silent[backend] = None
        if not inner:
            key: tuple[object, ...] = (call.chain, call.instruction)
            if key not in self._known:
                self._known[key] = Seen(key, backend, backend, subgraph, self._whole(call.instruction))
            return [(self._known[key], call.start_ns, whole)]
        names = tuple(event.inner for event in inner)
        if (call.instruction, names) not in self._matched:
            self._matched[call.instruction, names] = self._origins(call.instruction, names)
        found: list[tuple[Seen, int | None, int]] = []
        for event, origin in zip(inner, self._matched[call.instruction, names], strict=True):
            key = (call.chain, call.instruction, event.inner)
            seen = self._known.setdefault(key, Seen(key, event.inner, backend, subgraph, origin))
            found.append((seen, event.start_ns, event.end_ns - event.start_ns))
        # Putting inputs and outputs in place, waking threads: the backend's, and none of its operators'.
        if whole > spent:
            key = (call.chain, call.instruction, "")
            rest = self._known.setdefault(key, Seen(key, f"rest of {backend}", backend, subgraph, _NOWHERE))
            found.append((rest, None, whole - spent))
        return found

    def _backend(self, instruction: int) -> str:
        subgraph = self._subgraphs.get(instruction)
        return subgraph.backend if subgraph else self._default

    def _whole(self, instruction: int) -> Origin:
        """The origin of a subgraph that runs as one: the module that holds all it was made of, and their operators."""
        subgraph = self._subgraphs.get(instruction)
        if subgraph is None or self._source is None:
            return _NOWHERE
        origins = [self._source.origins[number] for number in subgraph.origins]
        paths = [origin.module.split(".") for origin in origins if origin.module]
        common: list[str] = []
        for parts in zip(*paths, strict=False):
            if len(set(parts)) > 1:
                break
            common.append(parts[0])
        operators = list(dict.fromkeys(name for origin in origins for name in origin.operators))
        module = ".".join(common)
        kind = next((origin.module_type for origin in origins if origin.module == module), "")
        return Origin(module=module, module_type=kind, operators=operators)

    def _origins(self, instruction: int, names: tuple[str, ...]) -> list[Origin]:
        subgraph: Subgraph | None = self._subgraphs.get(instruction)
        if subgraph is None or self._source is None or not subgraph.nodes:
            return [_NOWHERE] * len(names)
        numbers = match_events(names, subgraph.nodes)
        return [self._source.origins[number] if number is not None else _NOWHERE for number in numbers]
