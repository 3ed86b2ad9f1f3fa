"""Convert the nested events of an ETDump to operators that count once, each with its origin.

An instruction is one OPERATOR_CALL, which contains the kernel's ``native_call_*``, or one DELEGATE_CALL, which contains
the events of the backend's operators if the backend reports them. For an operator the outer event counts; for a
delegate the inner events, and the remaining time of the call as an additional operator.
"""

from __future__ import annotations

from collections.abc import Sequence

from etui.engine.profile.aggregate import Times, TracedOperator
from etui.engine.profile.etdump import DELEGATE, METHOD, NATIVE, OPERATOR, TracedEvent
from etui.formats.chrome_trace import Span
from etui.insight import Origin
from etui.programs.source_map import SourceMap, Subgraph
from etui.programs.xnnpack import match_events

_UNKNOWN = Origin()
_TOLERANCE = 1.02
"""If inner events take more than their call by this factor, they are nested and cannot be summed."""


class OperatorEvents:
    """Collects the operators of one inference after another.

    ``backend`` is the name of delegates that the source map does not name.
    """

    def __init__(self, source: SourceMap | None, backend: str = "delegate") -> None:
        self._source = source
        self._default = backend
        self._subgraphs = {subgraph.instruction: subgraph for subgraph in source.subgraphs} if source else {}
        self._numbers: dict[int, int] = {}
        self._known: dict[tuple[object, ...], TracedOperator] = {}
        self._matched: dict[tuple[int, tuple[str, ...]], list[Origin]] = {}
        self._nested = False
        self._without_events: dict[str, None] = {}

    @property
    def operators(self) -> list[TracedOperator]:
        """The operators of all inferences in the order they first ran."""
        return list(self._known.values())

    def add(self, events: Sequence[TracedEvent]) -> Times:
        """Add an inference, and return the times of its operators."""
        times: dict[tuple[object, ...], tuple[int, float]] = {}
        for operator, _start, duration_ns in self._leaves(events):
            calls, spent_ms = times.get(operator.key, (0, 0.0))
            times[operator.key] = calls + 1, spent_ms + duration_ns / 1e6
        return times

    def spans(self, events: Sequence[TracedEvent]) -> list[Span]:
        """Return one inference as a timeline of its operators and of the delegate calls around them."""
        begin = min((event.start_ns for event in events if event.name == METHOD), default=events[0].start_ns)
        spans = [
            Span(
                name=operator.name,
                start_ns=max(0, start - begin),
                duration_ns=duration,
                category=operator.delegate or "operator",
                module=operator.origin.module,
            )
            for operator, start, duration in self._leaves(events)
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
        """Return notes on the limits of the result."""
        notes = []
        if self._source is None:
            notes.append("The origins of operators in the model are unknown: the program has no source map.")
        if self._nested:
            notes.append("The delegate's events are nested, so each of its calls counts as one operator.")
        attributed = ", attributed to the module that contains it" if self._source is not None else ""
        for backend in self._without_events:
            notes.append(f"{backend} does not time its operators: each of its subgraphs is one row{attributed}.")
        return notes

    def _leaves(self, events: Sequence[TracedEvent]) -> list[tuple[TracedOperator, int | None, int]]:
        """Return operators with their start and duration in nanoseconds; the rest of a delegate call has no start."""
        leaves: list[tuple[TracedOperator, int | None, int]] = []
        native, inner = "", list[TracedEvent]()
        for event in events:
            if event.name.startswith(NATIVE):
                native = event.name.removeprefix(NATIVE)
            elif event.name == OPERATOR:
                leaves.append((self._operator(event, native), event.start_ns, event.end_ns - event.start_ns))
                native = ""
            elif event.name == DELEGATE:
                leaves += self._delegate(event, [part for part in inner if part.instruction == event.instruction])
                inner = []
            elif event.inner:
                inner.append(event)
        return leaves

    def _operator(self, event: TracedEvent, native: str) -> TracedOperator:
        key: tuple[object, ...] = (event.chain, event.instruction)
        if key not in self._known:
            number = self._source.instructions.get(event.instruction) if self._source else None
            origin = self._source.origins[number] if self._source and number is not None else _UNKNOWN
            name = native or ", ".join(origin.operators) or f"instruction {event.instruction}"
            self._known[key] = TracedOperator(key, name, None, None, origin)
        return self._known[key]

    def _delegate(self, call: TracedEvent, inner: list[TracedEvent]) -> list[tuple[TracedOperator, int | None, int]]:
        call_ns = call.end_ns - call.start_ns
        subgraph = self._numbers.setdefault(call.instruction, len(self._numbers))
        backend = self._backend(call.instruction)
        spent = sum(event.end_ns - event.start_ns for event in inner)
        if spent > call_ns * _TOLERANCE and spent - call_ns > 1000 * len(inner):
            self._nested = True
            inner = []
        elif not inner:
            self._without_events[backend] = None
        if not inner:
            key: tuple[object, ...] = (call.chain, call.instruction)
            if key not in self._known:
                origin = self._subgraph_origin(call.instruction)
                self._known[key] = TracedOperator(key, backend, backend, subgraph, origin)
            return [(self._known[key], call.start_ns, call_ns)]
        names = tuple(event.inner for event in inner)
        if (call.instruction, names) not in self._matched:
            self._matched[call.instruction, names] = self._origins(call.instruction, names)
        leaves: list[tuple[TracedOperator, int | None, int]] = []
        for event, origin in zip(inner, self._matched[call.instruction, names], strict=True):
            key = (call.chain, call.instruction, event.inner)
            operator = self._known.setdefault(key, TracedOperator(key, event.inner, backend, subgraph, origin))
            leaves.append((operator, event.start_ns, event.end_ns - event.start_ns))
        # Copying inputs and outputs and waking threads: time of the backend, but not of its operators.
        if call_ns > spent:
            key = (call.chain, call.instruction, "")
            rest = self._known.setdefault(key, TracedOperator(key, f"rest of {backend}", backend, subgraph, _UNKNOWN))
            leaves.append((rest, None, call_ns - spent))
        return leaves

    def _backend(self, instruction: int) -> str:
        subgraph = self._subgraphs.get(instruction)
        return subgraph.backend if subgraph else self._default

    def _subgraph_origin(self, instruction: int) -> Origin:
        """Return the origin of a subgraph as a whole: the innermost module that contains all its nodes, and their
        operators."""
        subgraph = self._subgraphs.get(instruction)
        if subgraph is None or self._source is None:
            return _UNKNOWN
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
            return [_UNKNOWN] * len(names)
        numbers = match_events(names, subgraph.nodes)
        return [self._source.origins[number] if number is not None else _UNKNOWN for number in numbers]
