"""Values as text: every kind of type that a field may have, there and back."""

from typing import Annotated, Any, Literal, Optional

import pytest
from msgspec import Meta

from httpkit.cli.schema import Setting
from httpkit.cli.values import kind_of
from httpkit.errors import ConfigurationError
from httpkit.server.config import Config

OCTAL = Annotated[int, Meta(ge=0, le=0o777, extra={"octal": True})]
PATH = Annotated[str, Meta(extra={"path": True})]


def setting(annotation: Any) -> Setting:
    return Setting("x", annotation, None, "", Config)


@pytest.mark.parametrize(
    ("annotation", "metavar", "expected"),
    [
        (int, "N", "a whole number"),
        (Annotated[int, Meta(ge=0, le=65535)], "N", "a whole number from 0 to 65535"),
        (Annotated[int, Meta(ge=1)] | None, "N|off", "a whole number, at least 1, or 'off'"),
        (Annotated[int, Meta(lt=3)], "N", "a whole number, below 3"),
        (
            Annotated[float, Meta(gt=0, le=2.5)],
            "SECONDS",
            "a number of seconds, above 0 and at most 2.5",
        ),
        (OCTAL, "OCTAL", "an octal number from 0 to 777"),
        (bool, "true|false", "true or false"),
        (Literal["a"], "a", "'a'"),
        (Literal["b", "a", "c"], "b|a|c", "'b', 'a' or 'c'"),
        (int | Literal["auto"], "N|auto", "a whole number, or 'auto'"),
        (str, "TEXT", "a text"),
        (Optional[PATH], "PATH|off", "a path, or 'off'"),  # noqa: UP045 - both ways to write it
        (tuple[int, int], "N,N", "2 values with commas between (a whole number; a whole number)"),
        (tuple[PATH, ...], "PATH,...", "values with commas between (a path)"),
    ],
    ids=str,
)
def test_descriptions(annotation: Any, metavar: str, expected: str) -> None:
    kind = kind_of(annotation)
    assert (kind.metavar, kind.expected) == (metavar, expected)


@pytest.mark.parametrize(
    ("annotation", "text", "value", "toml"),
    [
        (int, "8000", 8000, "8000"),
        (int, "16_777_216", 16777216, "16_777_216"),
        (int, "-100_000", -100000, "-100_000"),
        (float, "0.5", 0.5, "0.5"),
        (float, "1e-05", 1e-05, "1e-05"),
        (float, "75", 75.0, "75"),
        (float, "31_536_000", 31536000.0, "31_536_000"),
        (OCTAL, "660", 0o660, '"660"'),
        (bool, "true", True, "true"),
        (bool, "false", False, "false"),
        (Literal["a", "b"], "b", "b", '"b"'),
        (str, 'ä "quoted" text', 'ä "quoted" text', '"ä \\"quoted\\" text"'),
        (str, "", "", '""'),
        (str | None, "off", None, '"off"'),
        (int | None, "off", None, '"off"'),
        (int | None, "5", 5, "5"),
        (int | Literal["auto"], "auto", "auto", '"auto"'),
        (int | Literal["auto"], "4", 4, "4"),
        (str | int | None, "other", "other", '"other"'),
        (str | int | None, "5", 5, "5"),
        (tuple[int, int, int] | None, "60,10,5", (60, 10, 5), "[60, 10, 5]"),
        (tuple[int, int, int] | None, "off", None, '"off"'),
        (tuple[str, ...], "a,b", ("a", "b"), '["a", "b"]'),
        (tuple[str, ...], "", (), "[]"),
    ],
    ids=str,
)
def test_values_there_and_back(annotation: Any, text: str, value: object, toml: str) -> None:
    option = setting(annotation)
    parsed = option.parse(text)
    assert parsed == value
    assert type(parsed) is type(value)
    assert option.show(value) == text
    assert option.kind.show_toml(value) == toml


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (bool, "YES", True),
        (bool, "0", False),
        (bool, "off", False),
        (Literal["info", "Debug"], "INFO", "info"),
        (Literal["info", "Debug"], "debug", "Debug"),
        (int | None, "None", None),
        (str | None, "OFF", None),
        (str | None, "", None),
        (PATH | None, "", None),
        (PATH | None, "./off", "./off"),
        (OCTAL, "0o660", 0o660),
        (int, "+5", 5),
    ],
    ids=str,
)
def test_other_ways_to_write_a_value(annotation: Any, text: str, value: object) -> None:
    assert setting(annotation).parse(text) == value


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, ""),
        (int, "1.0"),
        (int, "_1"),
        (int, "٣"),
        (int, "9" * 5000),  # CVE-2020-10735: Python refuses to convert it
        (int | None, ""),  # an unset variable must not switch a limit off
        (Annotated[int, Meta(ge=0)], "-1"),
        (float, "soon"),
        (Annotated[float, Meta(gt=0, le=5)], "nan"),
        (Annotated[float, Meta(gt=0, le=5)], "inf"),
        (OCTAL, "8"),
        (OCTAL, "1000"),
        (bool, "ja"),
        (bool, ""),
        (Literal["a", "b"], "c"),
        (tuple[int, int], "1"),
        (tuple[int, int], "1,2,3"),
        (tuple[int, int], ""),
        (tuple[int, ...], "1,x"),
    ],
    ids=str,
)
def test_wrong_texts(annotation: Any, text: str) -> None:
    option = setting(annotation)
    with pytest.raises(ConfigurationError) as caught:
        option.parse(text)
    assert str(caught.value) == f"{text!r} is not {option.kind.expected}"


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (float, 75, 75.0),
        (OCTAL, "660", 0o660),
        (Literal["a", "b"], "A", "a"),
        (str | None, "none", None),
        (str | None, "", None),
        (tuple[int, int], [1, 2], (1, 2)),
        (tuple[str, ...], [], ()),
        (int | Literal["auto"], "auto", "auto"),
    ],
    ids=str,
)
def test_toml_values(annotation: Any, value: object, expected: object) -> None:
    assert setting(annotation).convert(value) == expected


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, "5"),
        (int, True),
        (int, 5.0),
        (int | Literal["auto"], "4"),
        (bool, "true"),
        (bool, 1),
        (OCTAL, 0o440),  # 440 would be taken for it
        (OCTAL, "9"),
        (str, 5),
        (tuple[int, int], "1,2"),
        (tuple[int, int], [1]),
        (tuple[str, ...], [1]),
    ],
    ids=str,
)
def test_wrong_toml_values(annotation: Any, value: object) -> None:
    with pytest.raises(ConfigurationError, match=r" is not "):
        setting(annotation).convert(value)


@pytest.mark.parametrize("annotation", [bytes, dict[str, int], object])
def test_types_that_no_option_can_have(annotation: Any) -> None:
    with pytest.raises(TypeError, match="no option can have the type"):
        kind_of(annotation)
