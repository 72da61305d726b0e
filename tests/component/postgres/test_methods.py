"""The settings' own programs on a real server: replica methods, bootstrap, and what they may not see."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from component.postgres.member import QUICK, Member, Members, children_of, eventually, programs
from component.postgres.test_replication import slot_names, until, user_session

from matriarch.ha.settings import ClusterSettings, settings_from
from matriarch.words.errors import ProgramFailed
from matriarch_agent.ports import StartMode
from matriarch_agent.postgres import answering

pytestmark = pytest.mark.component


def with_commands(**document: Any) -> ClusterSettings:
    return replace(QUICK, commands=settings_from(document).commands)


def script(folder: Path, name: str, *lines: str) -> str:
    path = folder / name
    path.write_text("\n".join(["#!/bin/sh", "set -eu", *lines, ""]))
    path.chmod(0o755)
    return str(path)


async def test_methods_are_tried_in_order_until_one_leaves_the_clusters_data(members: Members) -> None:
    """One that fails, one that leaves nothing, one with another cluster's data, then one that copies."""
    primary = await members.primary()
    await primary.postgres.sync_slots(("demo_1", "left_behind"), ())
    stranger = await members.make("other-0")
    await stranger.postgres.bootstrap(QUICK, ())
    base, copy = members.base, f"cp -a {stranger.place.pgdata}"
    backup = f'{programs()}/pg_basebackup -D "$datadir" -d "$connstring" --checkpoint=fast -X stream'
    read = 'for word; do case $word in --*) name=${word%%=*}; eval "${name#--}=\\${word#*=}";; esac; done'
    settings = with_commands(
        postgresql={
            "create_replica_methods": ["fails", "idle", "foreign", "copies"],
            "fails": {"command": script(base, "fails", f'echo "$@" > {base}/said', "exit 3")},
            "idle": {"command": "true"},
            "foreign": {"command": script(base, "foreign", read, f'{copy} "$datadir"')},
            "copies": {
                "command": script(base, "copies", read, f"env > {base}/env", backup, 'mkdir "$datadir/pg_replslot/x"'),
                "speed": 7,
            },
        }
    )
    replica = await members.make("demo-1")
    await replica.postgres.clone(primary.upstream, settings)
    tried = [line["method"] for line in replica.logged if line["event"] == "a copy failed"]
    assert tried == ["fails", "idle", "foreign"]
    assert "system identifier" in str([line["error"] for line in replica.logged if line.get("method") == "foreign"])
    said = (base / "said").read_text().split(" --")
    assert said[:2] == ["--scope=demo", "role=replica"] and said[2] == f"datadir={replica.place.volume}/pgdata.new"
    environment = dict(line.split("=", 1) for line in (base / "env").read_text().splitlines() if "=" in line)
    assert set(environment) - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "LC_ALL", "TZ", "HOME", "PGPASSFILE"}
    await replica.postgres.start(StartMode(primary=False, upstream=primary.upstream), settings)
    await until(replica, "streaming", lambda view: view.streaming)
    assert await slot_names(replica) == [], "the slots of the server that was copied are not this one's"


async def test_a_copy_that_fails_by_every_method_leaves_the_old_data(members: Members) -> None:
    primary = await members.primary()
    replica = await members.replica(primary, "demo-1")
    await replica.postgres.stop(fast=True)
    half = script(members.base, "half", f"mkdir -p {replica.place.volume}/pgdata.new/x; echo key=s3cret >&2", "exit 1")
    settings = with_commands(
        postgresql={"create_replica_methods": ["half", "kept"], "half": {"command": half}, "kept": {"command": "false"}}
    )
    with pytest.raises(ProgramFailed, match=r"half: half ended with status 1; kept: ") as failed:
        await replica.postgres.clone(primary.upstream, settings)
    assert "s3cret" not in str(failed.value) and "s3cret" in str(replica.logged)
    assert not (replica.place.volume / "pgdata.new").exists()
    with pytest.raises(ProgramFailed, match="without a member"):
        await replica.postgres.clone(None, settings)
    keeping = with_commands(
        postgresql={"create_replica_methods": ["half"], "half": {"command": half, "keep_data": True, "no_leader": True}}
    )
    with pytest.raises(ProgramFailed):
        await replica.postgres.clone(None, keeping)
    assert (replica.place.volume / "pgdata.new" / "x").exists(), "the next attempt goes on from there"
    assert (await replica.postgres.observe()).data == "present"
    await replica.postgres.start(StartMode(primary=False, upstream=primary.upstream), QUICK)
    await until(replica, "streaming", lambda view: view.streaming)


async def test_further_options_reach_pg_basebackup(members: Members) -> None:
    primary = await members.primary()
    replica = await members.make("demo-1")
    settings = with_commands(postgresql={"basebackup": [{"label": "from the settings"}, "verbose"]})
    await replica.postgres.clone(primary.upstream, settings)
    assert "LABEL: from the settings" in (replica.place.pgdata / "backup_label").read_text()


async def test_a_cluster_begins_with_data_from_elsewhere(members: Members) -> None:
    """Roles and database that are there already are kept, with the Secrets' passwords."""
    source = await members.primary()
    await source.sql("create table public.t as select 42 as answer")
    await source.postgres.kill()
    member = await members.make("demo-0b")
    copied = script(members.base, "restore", f'cp -a {source.place.pgdata} "${{2#--datadir=}}"')
    after = script(members.base, "after", f'{programs()}/psql -X -d "$1" -c "create table public.made as select 1"')
    settings = with_commands(
        bootstrap={"method": "restore", "restore": {"command": copied}, "post_bootstrap": f"{after}"}
    )
    await member.postgres.bootstrap(settings, ())
    view = await member.postgres.observe()
    assert (view.process, view.unborn, view.control and view.control.clean) == ("stopped", True, True)
    await member.postgres.start(StartMode(primary=True), settings)
    assert await member.sql("select answer from public.t") == 42
    assert await member.sql("select count(*) from public.made") == 1
    assert await member.sql("select count(*) from pg_authid where rolpassword is not null") == 3
    assert "dbname" in user_session(member)


async def test_what_the_origin_set_by_alter_system_does_not_count_at_the_beginning(members: Members) -> None:
    """It wins over every other file: the new cluster was not made at all, or wrote into its origin's archive."""
    source = await members.primary()
    await source.postgres.kill()
    member = await members.make("demo-0b")
    theirs = members.base / "theirs"
    theirs.write_text(
        "archive_mode = on\n"
        f"archive_command = 'touch {members.base}/archived'\n"
        f"port = {source.place.port}\n"
        "unix_socket_directories = '/tmp'\n"
        "synchronous_standby_names = '*'\n"
    )
    copied = script(
        members.base,
        "restore",
        f'cp -a {source.place.pgdata} "${{2#--datadir=}}"',
        f'cat {theirs} >> "${{2#--datadir=}}/postgresql.auto.conf"',
    )
    statement = "create table public.made as select 1; select pg_switch_wal(); checkpoint"
    after = script(members.base, "after", f'{programs()}/psql -X -d "$1" -c "{statement}"')
    settings = with_commands(
        bootstrap={"method": "restore", "restore": {"command": copied}, "post_bootstrap": f"{after}"}
    )
    async with asyncio.timeout(60):
        await member.postgres.bootstrap(settings, ())
    await member.postgres.start(StartMode(primary=True), settings)
    assert await member.sql("select count(*) from public.made") == 1
    assert not (members.base / "archived").exists()


async def test_a_failing_post_bootstrap_leaves_an_empty_member(members: Members) -> None:
    member = await members.make("demo-0")
    settings = with_commands(bootstrap={"post_bootstrap": "false"})
    with pytest.raises(ProgramFailed, match="false ended with status 1"):
        await member.postgres.bootstrap(settings, ())
    assert (await member.postgres.observe()).data == "empty"
    refused = with_commands(bootstrap={"method": "nowhere"})
    with pytest.raises(ProgramFailed, match="no section"):
        await member.postgres.bootstrap(refused, ())
    assert (await member.postgres.observe()).data == "empty"


async def test_a_program_of_the_settings_ends_with_its_children(members: Members) -> None:
    member: Member = await members.make("demo-0")
    slow = script(members.base, "slow", "sleep 987 &", f"echo $! > {members.base}/child", "wait")
    with pytest.raises(ProgramFailed, match="longer than"):
        await member.postgres.run_command((slow,), within=3.0)
    await eventually(lambda: not _alive(int((members.base / "child").read_text())))
    (members.base / "child").unlink()
    task = asyncio.create_task(member.postgres.run_command((slow,), within=60.0))
    await eventually(lambda: (members.base / "child").exists() and (members.base / "child").read_text() != "")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: not _alive(int((members.base / "child").read_text())))


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return os.path.exists(f"/proc/{pid}")


async def test_a_copy_does_not_wait_for_ever_for_a_frozen_source(
    members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kernel acknowledges for it, so the connection stays."""
    monkeypatch.setattr(answering, "ASK_EVERY_S", 0.2)
    monkeypatch.setattr(answering, "SILENT_S", 2.0)
    primary = await members.primary()
    replica = await members.make("demo-1")
    slowly = with_commands(postgresql={"basebackup": [{"max-rate": "1M"}]})
    copying = asyncio.create_task(replica.postgres.clone(primary.upstream, slowly))
    new = replica.place.volume / "pgdata.new"
    await eventually(lambda: (new / "base").exists())
    await asyncio.sleep(3.0)
    assert not copying.done(), "the source answers"
    pid = (await primary.init.status()).pid
    assert pid is not None
    for process in [pid, *children_of(pid)]:
        os.kill(process, signal.SIGSTOP)
    async with asyncio.timeout(20):
        with pytest.raises(ProgramFailed, match="demo-0 has not answered"):
            await copying
    assert not new.exists()
    await primary.postgres.kill()


async def test_a_tablespace_that_is_in_the_way_of_a_copy_is_named(members: Members) -> None:
    """Members of this test share its place, as one member's old and new data do."""
    primary = await members.primary()
    outside = members.base / "elsewhere"
    outside.mkdir()
    await primary.sql(f"create tablespace t location '{outside}'")
    replica = await members.make("demo-1")
    with pytest.raises(ProgramFailed, match=f"tablespace directory {outside} is not empty here: .* by hand"):
        await replica.postgres.clone(primary.upstream, QUICK)
    assert list(outside.iterdir()), "it may be all that is left of a table"
