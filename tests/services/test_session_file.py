"""Session files: read with every mistake in one line, written so that they make the same sessions, saved by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from etui.errors import UsageError
from etui.services import session_file
from etui.services.request import Options, path_keywords
from etui.services.session_config import KEYS, SessionConfig, from_values, plan, values_of, with_absolute_paths
from etui.services.session_file import as_toml, find_session_file, read_session_file

Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETUI_CONFIG", str(tmp_path / "config" / "config.toml"))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "bench.toml"
        path.write_text(text)
        return path

    return written


def other_than_default(name: str) -> object:
    """A valid value of an option that differs from its default, by the type of its field."""
    field = next(field for field in msgspec.structs.fields(Options) if field.encode_name == name)
    if path_keywords(name) == ():
        return "/folder"
    for value in (not field.default, 3, 2.5, "synthetic", "quick", "high", ["conv1", 'layer"\\4\x1b'], [1, 4]):
        try:
            if from_values({name: value}) != from_values({}) and value is not field.default:
                return value
        except msgspec.ValidationError:
            continue
    raise AssertionError(f"no value for {name}")


@pytest.mark.parametrize("name", Options.__struct_encode_fields__)
def test_every_option_survives_a_session_file(name: str, write: Write) -> None:
    config = from_values({"models": ["resnet18"], "precisions": ["int8"], name: other_than_default(name)})
    path = write(as_toml(config))
    absolute = from_values(with_absolute_paths(values_of(config), path.parent))
    assert from_values(read_session_file(path)) == absolute
    assert name in values_of(config)


def test_a_file_makes_the_sessions_that_it_was_written_from(write: Write) -> None:
    config = SessionConfig(
        models=("resnet18", "minilm"), precisions=("fp32", "int8"), delegates=("xnnpack", "portable"), seed=7,
        repeat=50, wait_quiet_min=0.0,
    )  # fmt: skip
    again = from_values(read_session_file(write(as_toml(config))))
    assert [session.spec for session in plan(again, skip=True).sessions] == [
        session.spec for session in plan(config, skip=True).sessions
    ]


def test_a_single_text_is_a_list_of_one(write: Write) -> None:
    config = from_values(read_session_file(write('models = "resnet18"\nkeep_fp32 = "conv1"\nprecisions = ["int8"]\n')))
    assert config == SessionConfig(models=("resnet18",), keep_fp32=("conv1",), precisions=("int8",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("precison = ['int8']", "unknown key 'precison'; did you mean precisions?"),
        ("colour = 1", "unknown key 'colour'; use models, precisions"),
        ("preset = 'quik'", "preset = 'quik' is not valid; did you mean quick?"),
        ("preset = 7", "preset = 7 is not valid; use one of default, quick, rigorous"),
        ("repeat = 0", "repeat = 0 is not valid; expected int >= 1"),
        ("repeat = '5'", "repeat = '5' is not valid; expected int"),
        ("timeout = 0", "timeout = 0 is not valid; expected float > 0"),
        ("timeout = inf", "timeout = inf is not valid; write a finite number"),
        ("wait_quiet = nan", "wait_quiet = nan is not valid; "),
        ("seed = 9223372036854775808", "seed = 9223372036854775808 is not valid"),
        ("cache = 1", "cache = 1 is not valid; expected bool"),
        ("models = [1]", "models = [1] is not valid; expected str"),
        ("models = ['']", "models = [''] is not valid; remove the empty texts"),
        ("[models]\na = 1", "models = {'a': 1} is not valid; expected array"),
        ("models = [", "is not TOML: "),
        ("a = " + "[" * 5000, "is not TOML: it is nested too deeply"),
        ("a\x00 = 1", "is not TOML: "),
        ("models = '~nobody-here/net.pte'", "user 'nobody-here' does not exist"),
    ],
)
def test_a_mistake_is_one_line_with_file_and_key(write: Write, text: str, message: str) -> None:
    path = write(text)
    with pytest.raises(UsageError) as raised:
        read_session_file(path)
    assert message in str(raised.value)
    assert str(raised.value).startswith(str(path)) or "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    for name in ("none.toml", "binary.toml", "."):
        with pytest.raises(UsageError, match=str(tmp_path)):
            read_session_file(tmp_path / name)


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "nets").mkdir()
    path = tmp_path / "nets" / "bench.toml"
    path.write_text(
        "models = ['mine.py:make', '../net.pte', 'resnet18', '/abs/x.pt2']\nweights = 'weights.safetensors'\n"
    )
    values = read_session_file(path)
    folder = tmp_path / "nets"
    assert values["models"] == [f"{folder}/mine.py:make", f"{folder}/../net.pte", "resnet18", "/abs/x.pt2"]
    assert values["weights"] == f"{folder}/weights.safetensors"
    path.write_text("weights = 'synthetic'\n")
    assert read_session_file(path)["weights"] == "synthetic"


def test_an_option_of_the_struct_is_a_key_by_itself() -> None:
    class More(Options, frozen=True, kw_only=True):
        added_s: Annotated[int, msgspec.Meta(ge=1)] | None = msgspec.field(default=None, name="added")

    assert set(KEYS) >= set(Options.__struct_encode_fields__)
    assert "added" in More.__struct_encode_fields__


def test_several_models_skip_what_is_not_supported_but_one_alone_does_not() -> None:
    both = plan(SessionConfig(models=("resnet18", "minilm"), precisions=("8da4w",)), skip=True)
    assert [session.spec.model for session in both.sessions] == ["minilm"]
    assert len(both.skipped) == 1 and "resnet18" in both.skipped[0]
    with pytest.raises(UsageError, match="cannot be run as 8da4w/xnnpack"):
        plan(SessionConfig(models=("resnet18",), precisions=("8da4w",)), skip=True)
    with pytest.raises(UsageError, match="cannot be run as 8da4w/portable"):
        plan(SessionConfig(models=("minilm",), precisions=("fp32", "8da4w"), delegates=("portable",)), skip=False)


def test_a_saved_configuration_is_found_by_its_name_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = SessionConfig(models=("resnet18",), precisions=("int8",), preset="quick")
    session_file.save("nightly", config, force=False)
    assert session_file.saved_names() == ["nightly"]
    assert session_file.read_saved("nightly") == config
    assert find_session_file("nightly").read_text() == as_toml(config)
    with pytest.raises(UsageError, match="saved already"):
        session_file.save("nightly", config, force=False)
    with pytest.raises(UsageError, match="did you mean nightly"):
        find_session_file("nightl")
    Path("other").write_text(as_toml(config))
    assert find_session_file("other") == tmp_path / "other"
    session_file.remove_saved("nightly")
    session_file.remove_saved("nightly")
    assert session_file.saved_names() == []


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 41, "a b", "a\nb"])
def test_a_name_is_only_a_name(name: str) -> None:
    with pytest.raises(UsageError, match="is not a name for a configuration"):
        session_file.save(name, SessionConfig(models=("resnet18",)), force=True)
