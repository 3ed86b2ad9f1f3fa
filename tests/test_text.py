"""Formatting of text and numbers for a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etui import text


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("\x1b]0;a title\x07b", "b"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b1mc\x7f", "c"),
        ("one\r\ntwo\tthree\n", "one two three "),
        ("left\u202etfel", "lefttfel"),
        ("[markup] stays", "[markup] stays"),
        ("caf\u00e9 \u2603", "caf\u00e9 \u2603"),
        ("\udcff", "?"),
    ],
)
def test_control_sequences_are_removed_from_text(given_text: str, expected: str) -> None:
    assert text.plain(given_text) == expected


@given(st.text(st.characters(), max_size=40))
def test_no_control_character_remains(anything: str) -> None:
    plain = text.plain(anything)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in plain)
    assert text.plain(plain) == plain
    plain.encode()


def test_line_breaks_are_preserved_on_request() -> None:
    assert text.plain("a\r\nb\x1b[1m\n\tc", keep_lines=True) == "a\nb\n    c"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "-"), (0.0, "0"), (0.001234, "0.00123"), (1.0, "1.00"), (9.996, "10.0"), (99.96, "100"),
        (16.34, "16.3"), (5812.3, "5,812"), (-3.214, "-3.21"), (1e-7, "1.00e-07"), (2.5e12, "2.50e+12"),
    ],
)  # fmt: skip
def test_numbers_have_three_significant_digits(value: float | None, expected: str) -> None:
    assert text.number(value) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (46_700_000, "46.7 MB"),
        (999_900_000, "1.00 GB"),
        (3 * 10**15, "3,000 TB"),
    ],
)
def test_sizes_use_decimal_units(count: int | None, expected: str) -> None:
    assert text.size(count) == expected


def test_durations_and_times() -> None:
    assert [text.seconds(value) for value in (None, 0.35, 200, 7500)] == ["-", "0.350 s", "3 min 20 s", "2 h 05 min"]
    assert text.local_time("not a time") == "not a time"
    assert text.local_time("2026-11-20T10:00:00.000Z").startswith("2026-11-2")
    zoned, bare = text.moment("2026-11-20T11:00:00+01:00"), text.moment("2026-11-20T10:00:00")
    assert zoned is not None and zoned == bare, "a time without a zone is UTC"
    assert text.moment("0001-01-01T00:00:00+23:59") is None and text.moment("soon") is None
    assert text.ratio(1.849) == "1.85x"
    assert text.interval((16.11, 16.5)) == "16.1 to 16.5"


def test_ratios_below_a_tenth_are_fractions() -> None:
    shown = [text.ratio(value) for value in (249.0, 0.85, 0.1, 0.0999, 0.00151, 1e-10, 0.0, None)]
    assert shown == ["249x", "0.850x", "0.100x", "1/10.0x", "1/662x", "1/1.00e+10x", "0x", "-"]
    assert text.ratio_interval((0.0033, 0.0036)) == "1/303 to 1/278"
    assert (text.as_fast(1.85), text.as_fast(0.00151)) == ("1.85x as fast", "1/662 as fast")


@pytest.mark.parametrize(
    ("percent", "shown", "size"),
    [
        (0.01, "0.0 %", "0.0 %"), (-70.13, "-70.1 %", "70.1 %"), (5.26, "+5.3 %", "5.3 %"),
        (100.0, "+100.0 %", "100.0 %"), (100.04, "+100.0 %", "100.0 %"), (100.06, "2.00x", "a factor of 2.00"),
        (33_900.0, "340x", "a factor of 340"), (1e8, "1,000,001x", "a factor of 1,000,001"),
    ],
)  # fmt: skip
def test_changes_beyond_100_percent_are_factors(percent: float, shown: str, size: str) -> None:
    assert (text.signed(percent), text.change_size(percent)) == (shown, size)


def test_wide_characters_take_two_cells() -> None:
    assert text.width("ab") == 2
    assert text.width("\u6a21\u578b") == 4
    assert text.width("e\u0301") == 1


def test_counts_and_percents() -> None:
    assert [text.counted(count, "node") for count in (0, 1, 1200)] == ["0 nodes", "1 node", "1,200 nodes"]
    assert (text.percent(0.125), text.percent(0.0042, 1)) == ("12 %", "0.4 %")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("res\u200bnet", "resnet"),
        ("\u061cmodel", "model"),
        ("a\u2060b\ufeffc\xadd", "abcd"),
        ("x\U000e0065\U000e0076\U000e0069\U000e006cy", "xy"),
        ("\u3164\u115f\uffa0z", "z"),
        ("a\U000e0100b\ufe0f", "ab"),
        ("\u2764\ufe0f \U0001f680", "\u2764 \U0001f680"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\U0001f469"),
        ("na\u00efve \u65e5\u672c \u0645\u062b\u0627\u0644", "na\u00efve \u65e5\u672c \u0645\u062b\u0627\u0644"),
    ],
)
@pytest.mark.parametrize("keep_lines", [False, True])
def test_invisible_characters_are_removed(name: str, shown: str, keep_lines: bool) -> None:
    assert text.plain(name, keep_lines=keep_lines) == shown


@pytest.mark.parametrize("hidden", [*range(0xE0000, 0xE0080), *range(0x2060, 0x2070), *range(0x200B, 0x2010)])
def test_no_invisible_character_remains(hidden: int) -> None:
    assert text.plain(f"a{chr(hidden)}b") == "ab"


@pytest.mark.slow
@given(st.text(max_size=300), st.integers(2, 60))
def test_shortened_text_fits(anything: str, cells: int) -> None:
    short = text.shortened(anything, cells)
    assert text.width(short) <= cells and len(short) <= 4 * cells + 1
    if text.width(text.plain(anything)) <= cells and len(anything) <= 4 * cells:
        assert short == text.plain(anything)


@given(st.text(max_size=60), st.integers(1, 30))
def test_text_without_its_beginning_fits_and_keeps_its_end(anything: str, cells: int) -> None:
    short = text.shortened_start(anything, cells)
    assert text.width(short) <= cells
    assert short == text.plain(anything) or text.plain(anything).endswith(short[1:])


def test_long_name_ends_with_an_ellipsis() -> None:
    assert text.shortened("x" * 10_000, 10) == "x" * 9 + "\u2026"
    assert text.shortened("\u65e5" * 10_000, 10) == "\u65e5" * 4 + "\u2026"
    assert len(text.shortened("a" + "\u0301" * 10_000, 10)) < 50
