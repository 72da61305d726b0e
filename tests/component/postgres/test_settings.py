"""Cluster settings on a real server: what is taken, what is refused, what waits for a restart."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace

import pytest
from component.postgres.member import QUICK, Member, Members, eventually
from component.postgres.test_replication import until

from matriarch.ha.settings import ClusterSettings
from matriarch_agent.ports import StartMode

pytestmark = pytest.mark.component

HOSTILE = {
    "work_mem": "8MB",
    "application_name": "it's\\ a 'quoted' \\'name\\",
    "search_path": '"$user", public\'\nport = 1',
    "log_line_prefix": "%m \\n 'x' %% # ",
    "log_statement": "none'; port = '1",
    "no_such_parameter": "1",
    "plpgsql.extra_warnings": "all",
    "anything.goes": "'); drop table pg_class; --",
    "max_connections": 10,
    "shared_preload_libraries": "no_such_library",
    "restore_command": "rm -rf /",
    "synchronous_standby_names": "*",
    "random_page_cost": "cheap",
    "effective_io_concurrency": 99999,
    "x\nport": "1",
    "checkpoint_timeout": {"a": 1},
    "deadlock_timeout": True,
    "autovacuum": False,
    "seq_page_cost": 1.5,
}
TAKEN = {
    "work_mem": "8MB",
    "cluster_name": "demo",
    "anything.goes": "'); drop table pg_class; --",
    "autovacuum": "off",
    "seq_page_cost": "1.5",
    "max_connections": "100",
    "random_page_cost": "4",
    "log_line_prefix": "%m \\n 'x' %% # ",
}
REFUSED = {
    "search_path",
    "log_statement",
    "no_such_parameter",
    "max_connections",
    "shared_preload_libraries",
    "restore_command",
    "synchronous_standby_names",
    "random_page_cost",
    "effective_io_concurrency",
    "x\nport",
    "checkpoint_timeout",
    "deadlock_timeout",
}
HBA = (
    "host all all 10.0.0.0/8 scram-sha-256",
    "host all all 0.0.0.0/0 trust",
    "local all all trust",
    "host all all 10.0.0.1 scram-sha-256",
    'host "a b" app samenet reject',
    "host all all 10.0.0.0/8 scram-sha-256 # comment",
    "host all all 10.0.0.0/8 scram-sha-256\nlocal all all trust",
    "hostssl all @file all md5",
    "hostssl all all all ldap nosuchoption=1",
    'host all "unbalanced all md5',
)
IDENT = (
    "people alice app",
    "matriarch nobody postgres",
    "people /( app",
    "people a,b app",
    'people "x app',
    "include x y",
)
HOSTILE_SETTINGS = replace(QUICK, parameters={**QUICK.parameters, **HOSTILE}, pg_hba=HBA, pg_ident=IDENT)


async def in_force(member: Member, name: str, value: str) -> None:
    """Wait until a session has taken notice of a reload, which is no more than a signal."""
    async with asyncio.timeout(15):
        while await member.sql(f"show {name}") != value:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_hostile_text_neither_breaks_nor_opens_anything(members: Members) -> None:
    member = await members.make("demo-0")
    await member.postgres.bootstrap(HOSTILE_SETTINGS, ())
    await member.postgres.start(StartMode(primary=True), HOSTILE_SETTINGS)
    refused = member.postgres._files.refused
    assert set(refused) >= REFUSED
    for name, value in TAKEN.items():
        assert await member.sql(f"select current_setting('{name}')") == value, name
    assert await member.sql("show port") == str(member.place.port)
    assert await member.sql("select count(*) from pg_hba_file_rules where auth_method = 'trust'") == 0
    assert await member.sql("select count(*) from pg_hba_file_rules where address = '10.0.0.0'") == 1
    await member.postgres.apply(HOSTILE_SETTINGS)
    assert await member.sql("select count(*) from pg_hba_file_rules where error is not null") == 0
    assert await member.sql("select count(*) from pg_hba_file_rules where address = 'samenet'") == 1
    maps = await member.postgres._session.rows("select map_name, pg_username, error from pg_ident_file_mappings")
    assert maps == [("matriarch", "postgres", None), ("people", "app", None)]
    await member.postgres.stop(fast=True)
    await member.postgres.start(StartMode(primary=True), HOSTILE_SETTINGS)


async def test_a_change_that_needs_a_restart_is_told_and_done_by_one(members: Members) -> None:
    member = await members.primary()
    changed = replace(QUICK, parameters={**QUICK.parameters, "max_connections": 40, "work_mem": "5MB"})
    await member.postgres.apply(changed)
    assert (await member.postgres.observe()).applied == changed
    await in_force(member, "work_mem", "5MB")
    view = await until(member, "pending", lambda view: bool(view.pending_restart))
    assert view.pending_restart == {"max_connections": {"old_value": "30", "new_value": "40"}}
    await member.postgres.apply(QUICK)
    await until(member, "set back, which clears the flag", lambda view: view.pending_restart == {})
    await member.postgres.apply(changed)
    await member.postgres.stop(fast=True)
    await member.postgres.start(StartMode(primary=True), changed)
    view = await member.postgres.observe()
    assert view.pending_restart == {} and await member.sql("show max_connections") == "40"


async def test_alter_system_does_not_win_over_the_agent(members: Members) -> None:
    member = await members.primary()
    await member.sql("alter system set synchronous_standby_names to 'somebody'")
    await member.sql("alter system set work_mem to '7MB'")
    await member.sql("alter system set max_connections to 77")
    await member.postgres.apply(ClusterSettings())
    await in_force(member, "work_mem", "7MB")
    assert await member.sql("show synchronous_standby_names") == "", "read by the same reload"
    pending = (await until(member, "pending", lambda view: "max_connections" in view.pending_restart)).pending_restart
    assert pending["max_connections"] == {"old_value": "30", "new_value": "100"}, "what all members agree on"


async def test_a_change_behind_the_agents_back_is_told_with_its_value(members: Members) -> None:
    """Pending restarts name what the files say, whoever wrote it there."""
    member = await members.primary()
    await member.sql("alter system set shared_buffers to '32MB'")
    await member.postgres._server.reload()
    member.postgres._watcher.note_applied(QUICK, None)
    told = (await until(member, "pending", lambda view: bool(view.pending_restart))).pending_restart
    assert told == {"shared_buffers": {"old_value": "16MB", "new_value": "32MB"}}


async def test_rotated_passwords_reach_the_roles_and_the_standbys(members: Members) -> None:
    member = await members.primary()
    replica = await members.replica(member, "demo-1")
    for one in (member, replica):
        (one.place.secrets / "replication" / "password").write_text("fr:esh")
        (one.place.secrets / "app" / "password").write_text("new")
    async with asyncio.timeout(15):
        while len([line for line in member.logged if line["event"] == "password changed"]) < 2:
            await member.postgres.observe()
            await asyncio.sleep(0.05)
    assert not [line for line in member.logged if "fr:esh" in str(line)]
    await replica.postgres.observe()
    await replica.sql("select pg_terminate_backend(pid) from pg_stat_wal_receiver")
    async with asyncio.timeout(15):
        while True:
            if (await replica.postgres.observe()).streaming:
                break
            await asyncio.sleep(0.05)
    assert replica.place.passfile.read_text() == "*:*:*:replicator:fr\\:esh\n"
    assert replica.place.passfile.stat().st_mode & 0o777 == 0o600
    logged = (member.base / "postgres.log").read_text()
    assert "fr:esh" not in logged and "SCRAM-SHA-256$" not in logged
    (member.place.secrets / "app" / "password").unlink()
    await member.postgres.observe()
    # A missing Secret empties no password.
    await eventually(lambda: member.logged[-1]["event"] == "passwords not brought up to date")


async def test_roles_that_another_agent_made(members: Members) -> None:
    """There is no Secret of an application's role, and the replication role may not rewind yet."""
    member = await members.primary()
    shutil.rmtree(member.place.secrets / "app")
    await member.sql("revoke execute on function pg_read_binary_file(text) from replicator")
    may = "select has_function_privilege('replicator', 'pg_read_binary_file(text)', 'execute')"
    assert not await member.sql(may)
    (member.place.secrets / "replication" / "password").write_text("fresh")
    async with asyncio.timeout(15):
        while not await member.sql(may):
            await member.postgres.observe()
            await asyncio.sleep(0.05)
    assert "passwords not brought up to date" not in [line["event"] for line in member.logged]
