"""Programs that the cluster settings name: read once, split into words, never through a shell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from unit.ha.views import NOW, a_view, lock, members

from matriarch.ha.actions import Clone
from matriarch.ha.commands import FORBIDDEN_BASEBACKUP, FORBIDDEN_REWIND, Commands, commands_from
from matriarch.ha.decide import decide
from matriarch.ha.documents.edits import check_settings
from matriarch.ha.documents.status import status_document
from matriarch.ha.settings import ClusterSettings, settings_from
from matriarch.ha.view import Memory, PostgresView, View


def postgres(**section: Any) -> Commands:
    return commands_from({"postgresql": section})


def test_nothing_asked_for_is_pg_basebackup_and_initdb() -> None:
    assert commands_from({}) == Commands()
    assert Commands().methods(remote=True) == (None,) and not Commands().without_leader


def test_methods_in_order_with_patronis_arguments() -> None:
    found = postgres(
        create_replica_methods=["restore", "basebackup", "bare"],
        restore={
            "command": "/bin/restore --fast 'a b'",
            "threads": 4, "delta": True, "no_leader": "on", "keep_data": 1,
        },
        bare={"command": "bare", "no_params": True, "threads": 4},
    )
    restore, basebackup, bare = found.replica_methods
    assert restore is not None and basebackup is None and bare is not None
    assert restore.argv(scope="demo", role="replica", datadir="/d", connstring="host='x'") == [
        *("/bin/restore", "--fast", "a b"),
        *("--scope=demo", "--role=replica", "--datadir=/d", "--connstring=host='x'", "--threads=4", "--delta=true"),
    ]
    assert bare.argv(scope="demo") == ["bare"]
    assert restore.no_leader and restore.keep_data and found.without_leader and not found.problems


def test_a_command_never_sees_a_shell() -> None:
    found = postgres(create_replica_methods=["x"], x={"command": "x; rm -rf $HOME `id` | tee"})
    assert found.replica_methods[0] is not None
    assert found.replica_methods[0].command == ("x;", "rm", "-rf", "$HOME", "`id`", "|", "tee")


def test_the_methods_name_is_its_command_when_there_is_no_other() -> None:
    found = postgres(create_replica_methods=["wal_e"], wal_e={})
    assert found.replica_methods[0] is not None and found.replica_methods[0].command == ("wal_e",)


def test_a_standby_cluster_has_a_list_of_its_own() -> None:
    document = {
        "standby_cluster": {"host": "x", "create_replica_methods": ["far"]},
        "postgresql": {"far": {"command": "far"}, "create_replica_methods": ["basebackup"]},
    }
    found = commands_from(document)
    assert [method.name for method in found.methods(remote=True) if method] == ["far"]
    assert found.methods(remote=False) == (None,)


@pytest.mark.parametrize("form", ["list", "object", "words"])
@pytest.mark.parametrize("name", [*sorted(FORBIDDEN_BASEBACKUP), "pgd", "wal-m", "-D", "dbname=x", "Format"])
def test_forbidden_options_of_pg_basebackup_are_refused_in_every_form(name: str, form: str) -> None:
    """Also abbreviated, as pg_basebackup would take it; and in the form of an object, which once bypassed the list."""
    value = {"list": [name], "object": {name: "x"}, "words": [{name: "x"}]}[form]
    found = postgres(basebackup=value)
    assert found.basebackup == () and len(found.problems) == 1
    assert check_settings({"postgresql": {"basebackup": value}}) is not None


def test_good_options_of_pg_basebackup() -> None:
    listed = postgres(basebackup=["verbose", {"max-rate": "100M"}, {"checkpoint": "spread"}])
    assert listed.basebackup == ("--verbose", "--max-rate=100M", "--checkpoint=spread") and not listed.problems
    given = postgres(basebackup={"max-rate": "100M", "verbose": True, "progress": False, "compress": "server-gzip:5"})
    assert given.basebackup == ("--max-rate=100M", "--verbose", "--compress=server-gzip:5") and not given.problems
    assert "server" in next(iter(postgres(basebackup={"compress": "gzip"}).problems.values()))


def test_options_of_pg_rewind() -> None:
    found = postgres(rewind=["debug", {"sync-method": "syncfs"}])
    assert found.rewind == ("--debug", "--sync-method=syncfs") and not found.problems
    for name in (*sorted(FORBIDDEN_REWIND), "target", "dry", "restore"):
        for value in ([name], {name: "x"}):
            refused = postgres(rewind=value)
            assert refused.rewind == () and list(refused.problems) == [f"postgresql.rewind.{name}"]


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({"postgresql": {"create_replica_methods": "basebackup"}}, "postgresql.create_replica_methods"),
        ({"postgresql": {"create_replica_methods": ["nowhere"]}}, "postgresql.nowhere"),
        ({"postgresql": {"create_replica_methods": ["x"], "x": {"command": "a 'b"}}}, "postgresql.x.command"),
        ({"postgresql": {"create_replica_methods": ["x"], "x": {"command": "a\nb"}}}, "postgresql.x.command"),
        ({"postgresql": {"create_replica_methods": ["x"], "x": {"command": "a", "k": {}}}}, "postgresql.x.k"),
        ({"postgresql": {"callbacks": "x"}}, "postgresql.callbacks"),
        ({"postgresql": {"callbacks": {"on_start": 7}}}, "postgresql.callbacks.on_start"),
        ({"postgresql": {"pre_promote": ["x"]}}, "postgresql.pre_promote"),
        ({"bootstrap": {"method": "restore"}}, "bootstrap.restore"),
        ({"bootstrap": {"method": "r", "r": {"command": "r", "recovery_conf": {"a": 1}}}}, "bootstrap.r"),
    ],
)
def test_what_cannot_be_used_is_named(document: dict[str, Any], where: str) -> None:
    assert where in commands_from(document).problems
    refusal = check_settings(document)
    assert refusal is not None and refusal.text.startswith(f"{where}: ")
    settings = settings_from(document)
    told = status_document(a_view(settings=settings))["matriarch"]["problems"]
    assert any(problem.startswith(f"{where} is not in force: ") for problem in told)


def test_a_bootstrap_that_cannot_be_done_is_not_replaced_by_an_empty_cluster() -> None:
    assert commands_from({"bootstrap": {"method": "restore"}}).bootstrap_refused
    fine = commands_from({"bootstrap": {"method": "r", "r": {"command": "r", "no_params": True}}})
    assert fine.bootstrap is not None and not fine.bootstrap_refused
    assert not commands_from({"bootstrap": {"method": "initdb"}}).bootstrap_refused


def empty(settings: ClusterSettings, free_for: float) -> View:
    memory = Memory(unlocked_since=NOW - free_for)
    return a_view(
        settings=settings, lock=lock(None), members=members(None), postgres=PostgresView(data="empty"), memory=memory
    )


def test_without_a_leader_a_method_that_needs_none_is_used_after_a_while() -> None:
    document = {"postgresql": {"create_replica_methods": ["r"], "r": {"command": "r", "no_leader": True}}}
    settings = settings_from(document)
    assert decide(empty(settings, 60)).actions == (Clone(None),)
    assert decide(empty(settings, 5)).actions == (), "a failover takes seconds"
    assert decide(empty(replace(settings, commands=Commands()), 60)).actions == ()
