"""Which runs take part in a comparison, and that each keeps its colour."""

from __future__ import annotations

from etui.tui.compare.selection import Selection


def test_slots_stay_whoever_comes_and_goes() -> None:
    chosen = Selection("abcdef", "a")
    slots = {one: chosen.slot(one) for one in "abcdef"}
    assert slots["a"] == 0 and sorted(slots.values()) == list(range(6))
    chosen.drop("c")
    chosen.make_base("d")
    assert chosen.ids == ["d", "b", "a", "e", "f"] and chosen.slot("d") == 0 and chosen.slot("a") == slots["d"]
    assert all(chosen.slot(one) == slots[one] for one in "bef")
    assert chosen.take_back() == ["c"] and chosen.slot("c") == slots["c"]
    assert not chosen.drop("d") and not chosen.drop("z") and chosen.base == "d"


def test_of_many_the_nearest_are_pictured_with_slots_of_their_own() -> None:
    runs = [f"{number:03d}" for number in range(500)]
    chosen = Selection(runs, "000")
    for near in ("000", "001", "250", "499"):
        pictured = chosen.pictured(near)
        assert len(pictured) == 6 and near in pictured and pictured[0] == "000"
        assert sorted(chosen.slot(one) for one in pictured) == list(range(6))
        if near != "000":
            assert max(abs(int(one) - int(near)) for one in pictured[1:]) <= 5
    for gone in runs[100:200]:
        chosen.drop(gone)
    assert sorted(chosen.slot(one) for one in chosen.pictured("201")) == list(range(6))
