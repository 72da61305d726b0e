import pytest
from hypothesis import given
from hypothesis import strategies as st

from matriarch.config.files import Source, connection, standby_settings
from matriarch.config.synchronous import STRICT_PLACEHOLDER, format_names, parse_names
from matriarch.words.sync_names import BLOCKED, NOBODY, SyncNames, any_of, every


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (NOBODY, ""),
        (BLOCKED, f'"{STRICT_PLACEHOLDER}"'),
        (every(("demo-1",)), '"demo-1"'),
        (every(("demo-1", "demo-2")), '2 ("demo-1","demo-2")'),
        (any_of(1, ("demo-1",)), 'ANY 1 ("demo-1")'),
        (any_of(1, ("demo-1", "demo-2")), 'ANY 1 ("demo-1","demo-2")'),
        (any_of(5, ("any", 'a"b')), 'ANY 2 ("any","a""b")'),
    ],
)
def test_format(wanted: SyncNames, text: str) -> None:
    assert format_names(wanted) == text
    assert parse_names(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("*", SyncNames(("*",), 1)),
        ("a, b", SyncNames(("a", "b"), 1)),
        ('FIRST 1 (a, "b c")', SyncNames(("a", "b c"), 1)),
        ("any 2(x,y,z)", SyncNames(("x", "y", "z"), 2, quorum=True)),
        ("2 (a,b)", every(("a", "b"))),
        ('"a""b"', every(('a"b',))),
        (f"ANY 1 ({STRICT_PLACEHOLDER})", BLOCKED),
        ("ANY 99999999999999999999 (a)", SyncNames(("a",), 10_000, quorum=True)),
    ],
)
def test_parse_what_others_write(text: str, wanted: SyncNames) -> None:
    assert parse_names(text) == wanted


@given(st.lists(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1), unique=True))
def test_round_trip(names: list[str]) -> None:
    if tuple(names) != (STRICT_PLACEHOLDER,):
        for wanted in (every(tuple(names)), any_of(1, tuple(names))):
            assert parse_names(format_names(wanted)) == wanted


def test_a_standby_follows_by_name_slot_and_passfile() -> None:
    source = Source("demo-0", "10.1.2.3", 5432, "replicator", "/run/matriarch/pgpass")
    settings = standby_settings("demo-1", source)
    assert settings["primary_slot_name"] == "demo_1" and settings["matriarch.upstream"] == "demo-0"
    for part in (
        "host='10.1.2.3'",
        "application_name='demo-1'",
        "passfile='/run/matriarch/pgpass'",
        "user='replicator'",
        # The server's slot worker refuses to start without a database.
        "dbname='postgres'",
    ):
        assert part in settings["primary_conninfo"]
    assert "password=" not in settings["primary_conninfo"]
    assert set(standby_settings("demo-1", None).values()) == {""}
    assert "replication='true'" in connection(source, application_name="x", replication="true")


def test_of_several_hosts_only_the_one_that_takes_writes_is_followed() -> None:
    several = Source("a,b:5432", "10.0.0.1,10.0.0.2", 5432, "replicator", "/run/matriarch/pgpass", slot="")
    assert "target_session_attrs='read-write'" in connection(several, application_name="x")
    one = Source("demo-0", "10.1.2.3", 5432, "replicator", "/run/matriarch/pgpass")
    assert "target_session_attrs" not in connection(one, application_name="x")
