import pytest
from hypothesis import given
from hypothesis import strategies as st

from matriarch.config.files import Source, connection, standby_settings
from matriarch.config.synchronous import STRICT_PLACEHOLDER, format_names, parse_names


@pytest.mark.parametrize(
    ("names", "strict", "text"),
    [
        ((), False, ""),
        ((), True, f'"{STRICT_PLACEHOLDER}"'),
        (("demo-1",), False, '"demo-1"'),
        (("demo-1",), True, '"demo-1"'),
        (("demo-1", "demo-2"), False, '2 ("demo-1","demo-2")'),
    ],
)
def test_format(names: tuple[str, ...], strict: bool, text: str) -> None:
    assert format_names(names, strict=strict) == text
    assert parse_names(text) == (names, strict and not names)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("*", ("*",)),
        ("a, b", ("a", "b")),
        ('FIRST 1 (a, "b c")', ("a", "b c")),
        ("any 2(x,y,z)", ("x", "y", "z")),
        ("2 (a,b)", ("a", "b")),
        ('"a""b"', ('a"b',)),
    ],
)
def test_parse_what_others_write(text: str, names: tuple[str, ...]) -> None:
    assert parse_names(text) == (names, False)


@given(st.lists(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1), unique=True))
def test_round_trip(names: list[str]) -> None:
    if tuple(names) != (STRICT_PLACEHOLDER,):
        assert parse_names(format_names(tuple(names))) == (tuple(names), False)


def test_a_standby_follows_by_name_slot_and_passfile() -> None:
    source = Source("demo-0", "10.1.2.3", 5432, "replicator", "/run/matriarch/pgpass")
    settings = standby_settings("demo-1", source)
    assert settings["primary_slot_name"] == "demo_1" and settings["matriarch.upstream"] == "demo-0"
    for part in (
        "host='10.1.2.3'",
        "application_name='demo-1'",
        "passfile='/run/matriarch/pgpass'",
        "user='replicator'",
    ):
        assert part in settings["primary_conninfo"]
    assert "password=" not in settings["primary_conninfo"]
    assert set(standby_settings("demo-1", None).values()) == {""}
    assert "replication='true'" in connection(source, application_name="x", replication="true")
