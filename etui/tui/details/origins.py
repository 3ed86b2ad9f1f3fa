"""Where something in a program comes from, as lines of a page: the module, what it was made of, and its source."""

from __future__ import annotations

from rich.text import Text

from etui.insight import Origin
from etui.tui.text_layout import Sheet


def origin_text(sheet: Sheet, origin: Origin, most: int) -> Text:
    """The sheet with an origin at its end, the innermost line of the source first, cut to ``most`` lines."""
    kind = f" ({origin.module_type})" if origin.module_type else ""
    made_of = f", made of {', '.join(origin.operators)}" if origin.operators else ""
    sheet.say(f"{origin.module or 'module not known'}{kind}{made_of}")
    for line in reversed(origin.stack):
        sheet.say(line, sheet.styles.muted)
    return Text("\n").join(sheet.text.split("\n")[:most])
