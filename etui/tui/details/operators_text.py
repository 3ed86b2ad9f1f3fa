"""The text above and below the rows of the Operators tab: a summary, and how reliable the figures are."""

from __future__ import annotations

from rich.text import Text

from etui import text
from etui.analysis.profiles import agrees, by_kind, overhead
from etui.insight import Operator, OperatorSide, Profile
from etui.tui.details.bars import percent
from etui.tui.details.operators import Side, View
from etui.tui.details.origins import origin_text
from etui.tui.details.tree_rows import Node, Rows
from etui.tui.text_layout import Sheet, Styles
from etui.wording.verdict import part

OVERHEAD_MOST = 0.10
_NAMED = 3
_LEAST_NAMED = 0.02


def operators_head(profile: Profile, side: Side, view: View, name: str, width: int, styles: Styles) -> Text:
    """Return the text above the rows: the kinds of work, the sum check, and the overhead of tracing."""
    sheet = Sheet(width, styles)
    chosen = profile.eager if side == "eager" and profile.eager is not None else profile.program
    sheet.say(where_the_time_goes(chosen, "Eager PyTorch" if side == "eager" else name), styles.strong)
    glyph, sentence = adds_up(chosen, styles)
    sheet.say(sentence, styles.warn if glyph == styles.flagged else "", glyph=glyph)
    glyph, sentence = tracing(chosen, styles)
    sheet.say(sentence, styles.warn if glyph == styles.flagged else "", glyph=glyph)
    basis = "Ungrouped" if view == "one by one" else f"By {view}"
    basis += f"; {text.counted(chosen.inferences, 'traced inference')}, {text.counted(profile.threads, 'thread')}"
    if chosen.unmapped_share and chosen.unmapped_share >= 0.005:
        basis += f"; {percent(chosen.unmapped_share)} % of the time has no known module"
    sheet.say(f"{basis}.", styles.muted)
    sheet.gap()
    return sheet.text


def operators_tail(profile: Profile, width: int, styles: Styles) -> Text:
    """Return the text below the rows: when the profile was taken, and notes on it."""
    sheet = Sheet(width, styles)
    sheet.say("")
    sheet.say(f"Profiled {text.local_time(profile.created_at)}.", styles.muted)
    if profile.notes:
        sheet.heading("Notes")
        for note in profile.notes:
            sheet.say(note, glyph=styles.flagged)
    return sheet.text


def where_the_time_goes(side: OperatorSide, name: str) -> str:
    """Return the kinds of operators that take most of the time, and the share spent in the delegate."""
    kinds = by_kind(side)
    if not kinds:
        return f"{name}: the trace has no operators."
    named = [(kind, share) for number, (kind, share) in enumerate(kinds[:_NAMED]) if not number or share > _LEAST_NAMED]
    (kind, share), *others = named
    sentence = f"{name}: {part(share)} of the time is {kind}"
    sentence += "".join(f", {part(share)} {kind}" for kind, share in others)
    if any(operator.delegate is not None for operator in side.operators):
        delegated = sum(operator.share for operator in side.operators if operator.delegate is not None)
        sentence += f"; {part(min(1.0, round(delegated, 6)))} is in the delegate"
    return f"{sentence}."


def adds_up(side: OperatorSide, styles: Styles) -> tuple[str, str]:
    """Return a glyph and a sentence: whether the operators' times add up to the measured inference."""
    untraced = side.untraced_ms is not None
    measured = side.untraced_ms if side.untraced_ms is not None else side.inference_ms
    if not measured:
        return styles.flagged, "The inference was not measured, so the sum of the operators cannot be checked."
    off = side.operators_ms / measured - 1
    sums = f"Operators add up to {text.number(side.operators_ms)} ms; an {'untraced ' if untraced else ''}inference"
    sums += f" takes {text.number(measured)} ms"
    if agrees(side):
        return styles.ok, f"{sums} ({100 * off:+.1f} %)."
    if off < 0:
        return styles.flagged, f"{sums}: {text.percent(-off)} of it is not attributed to an operator."
    too_much = f"too much by {text.change_size(100 * off)}"
    return styles.flagged, f"{sums}: {too_much}, because tracing slows the operators down."


def tracing(side: OperatorSide, styles: Styles) -> tuple[str, str]:
    """Return a glyph and a sentence: the overhead of tracing."""
    cost = overhead(side)
    if cost is None:
        return styles.flagged, "The overhead of tracing was not measured."
    if cost > OVERHEAD_MOST:
        slower = f"slower by {text.change_size(100 * cost)}"
        return styles.flagged, f"Tracing makes an inference {slower}: the shares may be inaccurate."
    if cost < 0.005:
        return styles.ok, "Tracing adds no measurable time to an inference."
    return styles.ok, f"Tracing adds {text.percent(cost, 1)} to an inference."


def matched(rows: Rows) -> str:
    """Return the number of rows that match the filter, with their time and share."""
    matching = rows.matching()
    own = [node for node in matching if node.figures.get("ms") is not None]
    total = sum(value for node in own if isinstance(value := node.figures["ms"], float))
    share = sum(value for node in own if isinstance(value := node.figures["share"], float))
    count = text.counted(len(own) or len(matching), "operator")
    return f"{count}, {text.number(total)} ms, {percent(min(1.0, share))} %" if own else count


def origin_page(node: Node | None, width: int, styles: Styles, most: int) -> Text:
    """Return the source of the row under the cursor, in at most ``most`` lines."""
    sheet = Sheet(width, styles)
    if node is None:
        return sheet.text
    if not isinstance(node.item, Operator):
        path = node.key.partition(" ")[2]
        leaves = list(node.leaves())
        own = sum(leaf.figures.get("ms") is not None for leaf in leaves)
        others = f", {len(leaves) - own:,} on the other side" if len(leaves) > own else ""
        sheet.say(f"{path}: {text.counted(own, 'operator')}{others}", styles.muted)
        return sheet.text
    sheet.say(f"{node.item.name}", styles.strong)
    return origin_text(sheet, node.item.origin, most)
