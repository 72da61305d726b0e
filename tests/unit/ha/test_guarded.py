"""What whoever reaches the port of an open REST API does not change."""

from __future__ import annotations

from typing import Any

import pytest

from matriarch.config.parameters import DEFAULTS
from matriarch.ha.documents.edits import Refusal
from matriarch.ha.documents.guarded import check_change, check_open
from matriarch.words.parameters import OWNED, PRIVILEGED, SHARED_MEMORY, owned, privileged


def settings(**parameters: Any) -> dict[str, Any]:
    return {"ttl": 9, "postgresql": {"use_pg_rewind": True, "parameters": parameters}}


def refused(before: dict[str, Any], after: dict[str, Any], *words: str) -> None:
    assert check_change(before, after, protected=True) is None
    refusal = check_open(before, after)
    assert isinstance(refusal, Refusal) and refusal.status == 403
    assert all(word in refusal.text for word in (*words, "password or a certificate", "kubectl")), refusal.text


def test_programs_are_taken_from_who_is_known_and_given_up_by_anybody() -> None:
    with_one = {"postgresql": {"pre_promote": "check"}}
    refused({}, with_one, "pre_promote")
    assert check_open(with_one, {**with_one, "ttl": 20}) is None
    assert check_open(with_one, {}) is None


@pytest.mark.parametrize("name", sorted(PRIVILEGED - {"archive_command"}))
def test_what_opens_or_harms_the_databases_is_neither_set_nor_changed_nor_taken_away(name: str) -> None:
    here = settings(**{name: "x", "work_mem": "4MB"})
    refused(settings(), here, f"postgresql.parameters.{name} ", "spec.parameters")
    refused(here, settings(**{name: "y"}), name)
    refused(here, settings(), name)
    refused(here, {"ttl": 9}, name)
    assert check_open(here, settings(**{name: "x", "work_mem": "8MB"}) | {"ttl": 10}) is None, "it stays as it is"


@pytest.mark.parametrize("name", sorted(OWNED))
def test_what_is_the_agents_may_be_a_command_to_a_member_of_patronis(name: str) -> None:
    refused({}, settings(**{name: "x"}), f"postgresql.parameters.{name} ")


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({" Search_Path": "evil, public"}, "search_path"),
        ({"standard_conforming_strings": False}, "standard_conforming_strings"),
        ({"ssl_passphrase_command": "id"}, "ssl_passphrase_command"),
        ({"log_directory": "/tmp"}, "log_directory"),
        ({"pgsodium.getkey_script": "id"}, "pgsodium.getkey_script"),
        ({"plperl.on_init": "system('id')"}, "plperl.on_init"),
        ({"app.tenant": "1"}, "app.tenant"),
    ],
)
def test_a_name_counts_however_it_is_written(parameters: dict[str, Any], named: str) -> None:
    refused(settings(), settings(**parameters), f"postgresql.parameters.{named} ")


def test_a_second_spelling_does_not_get_past_the_first() -> None:
    refused(settings(search_path="public"), settings(search_path="public", SEARCH_PATH="evil"), "search_path")


@pytest.mark.parametrize(
    "section",
    [
        {"recovery_conf": {"restore_command": "id"}},
        {"bin_dir": "/tmp"},
        {"custom_conf": "/tmp/x"},
        {"parameters_replica": {"archive_command": "id"}},
        {"pg_hba_replica": ["host all all all trust"]},
        {"authentication": {"superuser": {"username": "x"}}},
    ],
)
def test_other_parts_of_the_section_may_go_and_not_come(section: dict[str, Any]) -> None:
    """They mean nothing here, and give orders to members of Patroni's in the same cluster."""
    here = {"postgresql": section}
    refused({}, here, f"postgresql.{next(iter(section))} ")
    refused({"postgresql": dict.fromkeys(section, "else")}, here, next(iter(section)))
    assert check_open(here, {**here, "ttl": 10}) is None
    assert check_open(here, {"ttl": 10}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"ttl": 20, "pause": True, "synchronous_mode": False, "failsafe_mode": True, "maximum_lag_on_failover": 1},
        {"slots": {"one": {"type": "physical"}}, "member_tags": {"demo-0": {"nofailover": True}}},
        settings(**dict.fromkeys(SHARED_MEMORY, 100)),
        settings(work_mem="5MB", shared_buffers="1GB", wal_level="logical", archive_mode="on", archive_timeout=60),
        settings(statement_timeout=1, log_statement="all", jit=False),
        settings(**{"pg_stat_statements.max": 1000, "auto_explain.log_min_duration": "1s"}),
        {"postgresql": {"use_pg_rewind": False, "use_slots": True, "pg_ctl_timeout": 60}},
    ],
)
def test_what_is_ordinary_is_for_everybody(change: dict[str, Any]) -> None:
    assert check_change({"ttl": 9}, change, protected=False) is None
    assert check_change(change, {"ttl": 9}, protected=False) is None


@pytest.mark.parametrize("name", ["synchronous_commit", "zero_damaged_pages", "fsync", "full_page_writes"])
def test_whoever_reaches_the_port_has_no_data_lost_without_a_word(name: str) -> None:
    refused(settings(), settings(**{name: "off"}), f"postgresql.parameters.{name} ")


def test_no_name_is_both_the_agents_and_a_persons() -> None:
    assert not any(owned(name) for name in PRIVILEGED)
    assert {name for name in DEFAULTS if privileged(name)} == {"password_encryption", "synchronous_commit"}
