"""Reading manifests: the table of what is taken and what is refused, and with which words."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from matriarch.spec import rules
from matriarch.spec.parameters import as_text, refusal
from matriarch.spec.quantity import PATTERN, parse_bytes, parse_quantity, same_quantity
from matriarch.spec.resource import check_name, read_spec, read_status, status_body
from matriarch.spec.status import Condition, Status, SwitchoverStatus
from matriarch.words.errors import Invalid

MINIMAL: dict[str, Any] = {"storage": {"size": "1Gi"}}

TAKEN = {
    "minimal": {},
    "unquoted on": yaml.safe_load("synchronous: {mode: on}"),
    "unquoted off": yaml.safe_load("synchronous: {mode: off}"),
    "numbers as parameters": {"parameters": {"max_connections": 100, "random_page_cost": 1.1, "jit": False}},
    "a parameter of an extension": {"parameters": {"auto_explain.log_min_duration": "1s"}},
    "access rules": {"pgHba": ["host all all 10.0.0.0/8 scram-sha-256", "hostssl\tapp\tapp\tall\tscram-sha-256"]},
    "an image by digest": {"image": "example.org:5000/pg@sha256:" + "a" * 64},
    "scheduling": {
        "tolerations": [{"key": "db", "operator": "Exists"}],
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}},
    },
    "a protected REST API": {
        "restApi": {"tls": {"secretName": "t"}, "verifyClient": "required", "allowlist": ["::1", "10.0.0.0/8", "a.b"]}
    },
    "quorum": {"synchronous": {"mode": "quorum", "count": 2}},
    "lag in bytes": {"failover": {"maximumLag": 1048576}},
}

REFUSED = {
    "no storage": ({"storage": None}, "storage"),
    "no instances": ({"instances": 0}, "instances"),
    "too many instances": ({"instances": 10}, "instances"),
    "a word for a number": ({"instances": "three"}, "instances"),
    "a mode that there is not": ({"synchronous": {"mode": "majority"}}, "mode"),
    "a version that is not there": ({"postgresVersion": "9.6"}, "postgresVersion"),
    "ttl too short": ({"failover": {"ttl": 5}}, "ttl must be at least"),
    "an owned parameter": ({"parameters": {"port": 5433}}, "belongs to Matriarch"),
    "a TLS parameter": ({"parameters": {"ssl_ciphers": "x"}}, "belongs to Matriarch"),
    "a bad parameter name": ({"parameters": {"Work-Mem": "1MB"}}, "not a parameter's name"),
    "a hostile parameter name": ({"parameters": {"a = 1\nport": "1"}}, "not a parameter's name"),
    "a hostile parameter value": ({"parameters": {"work_mem": "1MB'\nport = 1"}}, "line break"),
    "a hostile access rule": ({"pgHba": ["host all all all trust\nlocal all all trust"]}, "pgHba"),
    "an include": ({"pgHba": ["include /etc/passwd"]}, "pgHba"),
    "a map with a line break": ({"pgIdent": ["people alice app\nmatriarch x postgres"]}, "pgIdent"),
    "a last line break": ({"pgHba": ["host all all all trust\n"]}, "control characters"),
    "a hostile database": ({"bootstrap": {"database": "a'; drop"}}, "database"),
    "a hostile locale": ({"bootstrap": {"locale": "C $(x)"}}, "locale"),
    "a hostile image": ({"image": "x y"}, "image"),
    "a hostile size": ({"storage": {"size": "1Gi; rm"}}, "size"),
    "client certificates without TLS": ({"restApi": {"verifyClient": "optional"}}, "needs restApi.tls"),
    "a hostile Secret name": ({"restApi": {"auth": {"secretName": "../x"}}}, "secretName"),
    "a hostile allowlist": ({"restApi": {"allowlist": ["10.0.0.1\n"]}}, "control characters"),
    "a hostile header": ({"restApi": {"extraHeaders": {"A": "b\r\nC: d"}}}, "extraHeaders"),
    "a hostile header name": ({"restApi": {"extraHeaders": {"A\r\nB": "c"}}}, "restApi.extraHeaders"),
    "a list for a map": ({"parameters": ["a"]}, "parameters"),
}


@pytest.mark.parametrize("change", TAKEN.values(), ids=TAKEN)
def test_taken(change: dict[str, Any]) -> None:
    assert read_spec(MINIMAL | change).instances == 3


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=re.escape(words)):
        read_spec(MINIMAL | change)


@pytest.mark.parametrize("raw", [None, [], "text", 5, {}])
def test_what_is_no_spec_at_all_is_refused(raw: object) -> None:
    with pytest.raises(Invalid):
        read_spec(raw)


def test_on_means_on_however_yaml_reads_it() -> None:
    assert read_spec(MINIMAL | yaml.safe_load("synchronous: {mode: on}")).synchronous.enabled
    assert read_spec(MINIMAL | yaml.safe_load("synchronous: {mode: 'on'}")).synchronous.enabled
    assert not read_spec(MINIMAL | yaml.safe_load("synchronous: {mode: off}")).synchronous.enabled


@pytest.mark.parametrize("name", ["a", "demo-1", "a" * 44])
def test_names_that_can_be(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["1a", "-a", "a-", "A", "a.b", "a" * 45, "", "a\n"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(Invalid):
        check_name(name)


@given(st.text(max_size=200))
def test_no_parameter_name_that_is_taken_can_leave_its_line(name: str) -> None:
    if refusal(name) is None:
        assert re.fullmatch(r"[a-z0-9_.]+", name)


@given(st.text(max_size=100))
def test_no_access_rule_that_is_taken_has_two_lines(line: str) -> None:
    for text in (line, "host " + line, "local all " + line):
        if re.search(rules.HBA_LINE, text):
            assert "\n" not in text.removesuffix("\n")
            assert "\r" not in text


def test_parameters_as_text() -> None:
    assert [as_text(value) for value in (True, False, 5, 1.5, "x")] == ["on", "off", "5", "1.5", "x"]


@pytest.mark.parametrize(
    ("one", "other"), [("1000m", "1"), ("1024Mi", "1Gi"), (1, "1"), ("0.5", "500m"), ("1k", "1000")]
)
def test_one_amount_in_two_spellings(one: object, other: object) -> None:
    assert same_quantity(one, other)


@pytest.mark.parametrize(("one", "other"), [("1G", "1Gi"), (True, 1), ("a", "a"), (None, None), ("1", "1m")])
def test_different_amounts(one: object, other: object) -> None:
    assert not same_quantity(one, other)


@given(st.integers(min_value=0, max_value=10**12), st.sampled_from(["", "Ki", "Mi", "k", "M", "Gi"]))
def test_quantities(number: int, unit: str) -> None:
    factor = {"": 1, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "k": 1000, "M": 10**6}[unit]
    assert parse_bytes(f"{number}{unit}") == number * factor
    assert re.search(PATTERN, f"{number}{unit}")


@pytest.mark.parametrize("text", ["", "Gi", "1gi", "-1", "1e3", "1 Gi", "٣", "1Gi\n"])
def test_no_quantities(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity(text)


def test_a_status_survives_the_way_there_and_back() -> None:
    status = Status(
        observed_generation=3,
        phase="Running",
        conditions=(Condition("Ready", "True", "AllMembersReady", "well", "2026-01-01T00:00:00Z", 3),),
        last_switchover=SwitchoverStatus("2026", "user", "demo-0", "Pending", "any"),
    )
    body = status_body(status)
    assert body["lastSwitchover"]["from"] == "demo-0"
    assert read_status(body) == status


@pytest.mark.parametrize("raw", [None, "x", {"conditions": "x"}, {"members": [{}]}])
def test_an_unreadable_status_counts_as_never_written(raw: object) -> None:
    assert read_status(raw) == Status()
