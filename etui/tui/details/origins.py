"""The origin of a program's operator as text: the module, the operators it was made of, and its source lines."""

from __future__ import annotations

from rich.text import Text

from etui.insight import Origin
from etui.tui.text_layout import Sheet


def origin_text(sheet: Sheet, origin: Origin, most: int) -> Text:
    """Append an origin to the sheet, the innermost source line first, and return the text cut to ``most`` lines."""
    kind = f" ({origin.module_type})" if origin.module_type else ""
    made_of = f", made of {', '.join(origin.operators)}" if origin.operators else ""
    sheet.say(f"{origin.module or 'module not known'}{kind}{made_of}")
    for line in reversed(origin.stack):
        sheet.say(line, sheet.styles.muted)
    return Text("\n").join(sheet.text.split("\n")[:most])
