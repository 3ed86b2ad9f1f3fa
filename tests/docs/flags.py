"""The page of warning flags, from the table of what each means and what to do about it."""

from __future__ import annotations

from etui.wording import flags as flag_wording
from tests.docs.markdown import code, make_page, table


def page() -> str:
    """The text of ``docs/reference/warning-flags.md``."""
    return make_page(
        "Warning flags",
        "A warning flag names something that reduces the quality of a measurement, or that must be known with it. It is"
        " stored with the run, with the numbers that led to it: `etui show RUN` prints them. Runs are filtered by"
        " `flag:NAME`. What cannot be read on a machine cannot lead to a flag; `etui show` lists it as not readable,"
        " and `etui doctor` says what is missing. A flag `fp16` is like `bf16`, for that arithmetic.",
        table(
            ("flag", "meaning", "what to do"),
            [(code(name), *words) for name, words in flag_wording._EXPLANATIONS.items()],
        ),
    )
