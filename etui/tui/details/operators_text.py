"""What the Operators tab says above and under its rows: the answer in words, and how far the figures can be trusted."""

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
    """Where the time goes, whether the operators add up to the inference, and what tracing cost."""
    sheet = Sheet(width, styles)
    chosen = profile.eager if side == "eager" and profile.eager is not None else profile.program
    sheet.say(where_the_time_goes(chosen, "Eager PyTorch" if side == "eager" else name), styles.strong)
    glyph, sentence = adds_up(chosen, styles)
    sheet.say(sentence, styles.warn if glyph == styles.flagged else "", glyph=glyph)
    glyph, sentence = tracing(chosen, styles)
    sheet.say(sentence, styles.warn if glyph == styles.flagged else "", glyph=glyph)
    told = "One by one" if view == "one by one" else f"By {view}"
    told += f"; {text.counted(chosen.inferences, 'traced inference')}, {text.counted(profile.threads, 'thread')}"
    if chosen.unmapped_share and chosen.unmapped_share >= 0.005:
        told += f"; {percent(chosen.unmapped_share)} % of unknown module"
    sheet.say(f"{told}.", styles.muted)
    sheet.gap()
    return sheet.text


def operators_tail(profile: Profile, width: int, styles: Styles) -> Text:
    """What must be known with the profile."""
    sheet = Sheet(width, styles)
    sheet.say("")
    sheet.say(f"Profiled {text.local_time(profile.created_at)}.", styles.muted)
    if profile.notes:
        sheet.heading("Notes")
        for note in profile.notes:
            sheet.say(note, glyph=styles.flagged)
    return sheet.text


def where_the_time_goes(side: OperatorSide, name: str) -> str:
    """The operators that make most of the time, and how much of it is outside of any delegate."""
    first = by_kind(side)
    if not first:
        return f"{name}: the trace has no operators."
    named = [(kind, share) for number, (kind, share) in enumerate(first[:_NAMED]) if not number or share > _LEAST_NAMED]
    (kind, share), *others = named
    words = f"{name}: {part(share)} of the time is {kind}"
    words += "".join(f", {part(share)} {kind}" for kind, share in others)
    if any(operator.delegate is not None for operator in side.operators):
        delegated = sum(operator.share for operator in side.operators if operator.delegate is not None)
        words += f"; {part(min(1.0, round(delegated, 6)))} is inside the delegate"
    return f"{words}."


def adds_up(side: OperatorSide, styles: Styles) -> tuple[str, str]:
    """A glyph and a sentence: whether the operators' times agree with the measured inference."""
    untraced = side.untraced_ms is not None
    measured = side.untraced_ms if side.untraced_ms is not None else side.inference_ms
    if not measured:
        return styles.flagged, "The inference that the operators make up was not measured."
    off = side.operators_ms / measured - 1
    found = f"Operators add up to {text.number(side.operators_ms)} ms; an {'untraced ' if untraced else ''}inference"
    found += f" takes {text.number(measured)} ms"
    if agrees(side):
        return styles.ok, f"{found} ({100 * off:+.1f} %)."
    if off < 0:
        return styles.flagged, f"{found}: {text.percent(-off)} of it is in none of them."
    return styles.flagged, f"{found}: {text.percent(off)} too much, tracing made them slower than they are."


def tracing(side: OperatorSide, styles: Styles) -> tuple[str, str]:
    """A glyph and a sentence: what tracing cost."""
    cost = overhead(side)
    if cost is None:
        return styles.flagged, "What tracing costs was not measured."
    if cost > OVERHEAD_MOST:
        return styles.flagged, f"Tracing makes an inference {text.percent(cost)} slower: shares may be off."
    if cost < 0.005:
        return styles.ok, "Tracing adds nothing to an inference that could be measured."
    return styles.ok, f"Tracing adds {text.percent(cost, 1)} to an inference."


def matched(rows: Rows) -> str:
    """What a filter has left, with the sum of it."""
    found = rows.matching()
    own = [node for node in found if node.figures.get("ms") is not None]
    total = sum(value for node in own if isinstance(value := node.figures["ms"], float))
    share = sum(value for node in own if isinstance(value := node.figures["share"], float))
    count = len(own) or len(found)
    words = text.counted(count, "operator")
    return f"{words}, {text.number(total)} ms, {percent(min(1.0, share))} %" if own else words


def origin_page(node: Node | None, width: int, styles: Styles, most: int) -> Text:
    """Where the row under the cursor comes from, in at most ``most`` lines."""
    sheet = Sheet(width, styles)
    if node is None:
        return sheet.text
    if not isinstance(node.item, Operator):
        path = node.key.partition(" ")[2]
        leaves = list(node.leaves())
        own = sum(leaf.figures.get("ms") is not None for leaf in leaves)
        beside = f", {len(leaves) - own:,} of the other side" if len(leaves) > own else ""
        sheet.say(f"{path}: {text.counted(own, 'operator')}{beside}", styles.muted)
        return sheet.text
    sheet.say(f"{node.item.name}", styles.strong)
    return origin_text(sheet, node.item.origin, most)
