from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matriarch.config.files import render_conf
from matriarch.config.parameters import DEFAULTS, FORCED, effective
from matriarch.config.quantities import Quantity, parse_quantity
from matriarch.config.restart import raised_to
from matriarch.words.parameters import OWNED, owned

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner), max_leaves=3
)


@given(st.dictionaries(st.text() | st.sampled_from(sorted(OWNED | set(DEFAULTS))), anything))
def test_whatever_the_user_gives_the_file_can_be_written_and_ours_is_in_force(user: dict[str, Any]) -> None:
    result = effective(user)
    render_conf(result.values)
    assert {name: result.values[name] for name in FORCED} == dict(FORCED)
    assert set(DEFAULTS) <= set(result.values)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("work_mem", "8MB", "8MB"),
        ("max_connections", 200, "200"),
        ("max_connections", "200", "200"),
        ("max_connections", 200.0, "200"),
        ("autovacuum", False, "off"),
        ("seq_page_cost", 1.5, "1.5"),
        ("seq_page_cost", 0.0000001, "1e-07"),
        ("Work_Mem", "8MB", None),
        ("wal_level", "hot_standby", "replica"),
        ("wal_level", "logical", "logical"),
        ("wal_keep_size", "1GB", "1GB"),
        ("custom.thing", "x", "x"),
    ],
)
def test_taken(name: str, value: object, text: str | None) -> None:
    result = effective({name: value})
    assert not result.refused
    assert result.values[name.lower()] == (text if text is not None else value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_connections", 24),
        ("max_connections", "many"),
        ("max_connections", "100kB"),
        ("max_connections", True),
        ("max_wal_senders", 0),
        ("wal_level", "minimal"),
        ("wal_keep_size", "1MB"),
        ("wal_keep_size", 15),
        ("fsync", False),
        ("port", 1),
        ("include", "/etc/passwd"),
        ("ssl_key_file", "/x"),
        ("matriarch.upstream", "x"),
        ("recovery_target_time", "now"),
        ("restore_command", "cp /archive/%f %p"),
        ("archive_library", "basic_archive"),
        ("synchronous_standby_names", "*"),
        ("a b", "x"),
        ("work_mem\nport", "1"),
        ("a.b.c", "x"),
        ("", "x"),
        ("work_mem", None),
        ("seq_page_cost", float("nan")),
        ("seq_page_cost", float("inf")),
        ("work_mem", ["4MB"]),
        ("work_mem", "4MB\nport = 1"),
        ("work_mem", "x" * 9000),
    ],
)
def test_refused(name: str, value: object) -> None:
    result = effective({name: value})
    assert list(result.refused) == [name]
    assert result.values == effective({}).values


def test_quantities() -> None:
    assert parse_quantity("16MB", Quantity.MEGABYTES) == 16 << 20
    assert parse_quantity("16", Quantity.MEGABYTES) == 16 << 20
    assert parse_quantity(" 1.5 GB ", Quantity.KILOBYTES) == 1.5 * (1 << 30)
    assert parse_quantity("16mb", Quantity.MEGABYTES) is None
    assert parse_quantity("5MB", Quantity.COUNT) is None
    assert parse_quantity("1e9", Quantity.COUNT) is None


def test_nobody_sets_what_is_forced() -> None:
    assert all(map(owned, FORCED))


def test_a_standby_is_raised_to_its_control_file() -> None:
    values = {"max_connections": "100", "max_wal_senders": "10", "max_worker_processes": "8"}
    assert raised_to(values, {"max_connections": 200, "max_wal_senders": 10}) == {"max_connections": "200"}
    assert raised_to(values, {}) == {}
