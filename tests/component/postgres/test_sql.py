"""Our own client against a real server: what is asked, how it is answered, and how it fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from component.postgres.member import Member, Members
from unit.net.site import listening

from matriarch.config.files import Source, connection
from matriarch.words.errors import NotRunning, PostgresError, QueryFailed
from matriarch_agent.postgres import history, remote, sql
from matriarch_agent.postgres.credentials import write_passfile
from matriarch_agent.postgres.sql import Session

pytestmark = pytest.mark.component


@pytest.fixture
async def primary(members: Members) -> AsyncIterator[Member]:
    member = await members.primary()
    write_passfile(member.place)
    yield member


def source(member: Member, **other: object) -> Source:
    found = {"user": "replicator", "passfile": str(member.place.passfile), **other}
    return Source(member.name, "127.0.0.1", member.place.port, str(found["user"]), str(found["passfile"]))


def log_of(member: Member) -> str:
    return Path(str(member.place.log_file)).read_text()


async def test_values_go_there_and_come_back(primary: Member) -> None:
    session: Session = primary.postgres._session
    hostile = ["", "NULL", '"', "\\", "a,b", "{}", "üß€\U0001f418", "'; drop table x --", " \t\n"]
    assert await session.row("select $1::text[] = array[$2, $3]", (["a", 'b"\\'], "a", 'b"\\')) == (True,)
    rows = await session.rows(
        "select word from unnest($1::text[]) with ordinality as w(word, n) order by n", (hostile,)
    )
    assert [word for (word,) in rows] == hostile
    assert await session.row("select $1::bool, $2::int8, $3::text, $4::text", (False, -(1 << 62), "x", None)) == (
        False,
        -(1 << 62),
        "x",
        None,
    )
    assert await session.row("select 0.1::float8, -2.5::float4, 'nan'::float8 = 'nan'") == (0.1, -2.5, True)
    assert await session.row("select 1::int2, 2::int4, 3::oid, true, null, '{1}'::int[], 1.5, 'x'::name") == (
        *(1, 2, 3, True, None),
        *("{1}", "1.5", "x"),
    )
    assert await session.rows("select 1 where false") == []
    assert len(await session.rows("select repeat('x', 10000) from generate_series(1, 500)")) == 500
    with pytest.raises(QueryFailed, match="no row"):
        await session.row("select 1 where false")
    with pytest.raises(QueryFailed, match="NUL"):
        await session.row("select $1::text", ("a\0b",))


async def test_settings_of_a_session_are_in_force(primary: Member) -> None:
    for name in ("search_path", "synchronous_commit", "log_min_error_statement", "default_transaction_read_only"):
        (value,) = await primary.postgres._session.row(f"show {name}")
        assert value == sql._SESSION[name]
    (timeout,) = await primary.postgres._session.row("show statement_timeout")
    assert timeout == "2s"
    folder = str(primary.place.run)
    async with sql.short_session(folder, primary.place.port, "postgres", statement_timeout_s=77.0) as link:
        assert await link.ask("show statement_timeout") == [("77s",)]
        await link.ask("CHECKPOINT")


async def test_an_error_does_not_repeat_the_statement(primary: Member) -> None:
    session = primary.postgres._session
    with pytest.raises(QueryFailed) as caught:
        await session.rows("alter role nobody password 'the secret'")
    assert "does not exist" in str(caught.value) and "secret" not in str(caught.value)
    assert await session.row("select 1") == (1,)
    assert "the secret" not in log_of(primary)


async def test_a_backend_that_is_ended_or_slow_is_replaced(primary: Member) -> None:
    session = primary.postgres._session
    (pid,) = await session.row("select pg_backend_pid()")
    with pytest.raises(QueryFailed):
        await session.row(f"select pg_terminate_backend({pid}), pg_sleep(1)")
    (other,) = await session.row("select pg_backend_pid()")
    began = time.monotonic()
    with pytest.raises(QueryFailed, match="within"):
        await session.row("select pg_sleep(60)", timeout=0.2)
    assert time.monotonic() - began < 1.5
    (third,) = await session.row("select pg_backend_pid()")
    assert len({pid, other, third}) == 3


async def test_replication_commands(primary: Member) -> None:
    assert await sql.local_timeline(primary.postgres._session) == 1
    found = await history.ask_history(primary.place, source(primary), 3)
    (sysid,) = await primary.postgres._session.row("select system_identifier::text from pg_control_system()")
    assert (found.sysid, found.timeline, found.in_recovery, found.epoch, dict(found.switches)) == (
        sysid,
        1,
        False,
        3,
        {},
    )
    assert found.oldest is not None and found.oldest % (1 << 24) == 0


async def test_a_replicas_history(members: Members, primary: Member) -> None:
    replica = await members.replica(primary, "demo-1")
    found = await history.ask_history(replica.place, source(replica, passfile=primary.place.passfile), 1)
    assert (found.timeline, found.in_recovery) == (1, True)
    await replica.postgres.promote()
    found = await history.ask_history(replica.place, source(replica, passfile=primary.place.passfile), 1)
    assert (found.timeline, found.in_recovery, list(found.switches)) == (2, False, [1])
    assert await sql.local_timeline(replica.postgres._session) == 2


async def test_questions_to_others_fail_with_reasons_and_without_secrets(primary: Member) -> None:
    where = connection(source(primary, passfile="/dev/null"), application_name="x")
    with pytest.raises(NotRunning, match="password"):
        await remote.ask(primary.place, where, "select 1")
    where = connection(source(primary), application_name="x")
    with pytest.raises(QueryFailed, match="does not exist"):
        await remote.ask(primary.place, where, "select 1", "select nothing_such()", "select 2")
    assert await remote.ask(primary.place, where, "select 'a', null, E'b\\nc'", "select 2") == ["a", "", "b\nc", "2"]
    with pytest.raises(NotRunning, match="refused"):
        unused = Source("demo-9", "127.0.0.1", 1, "replicator", str(primary.place.passfile))
        await history.ask_history(primary.place, unused, 0)
    with pytest.raises(PostgresError):
        await history.ask_history(primary.place, source(primary, user="app"), 0)


async def test_a_member_that_hangs_costs_its_time(primary: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "ANSWER_WITHIN_S", 0.5)

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(silence) as there:
        silent = Source("demo-9", there.host, there.port, "replicator", "/dev/null")
        began = time.monotonic()
        with pytest.raises(PostgresError, match=r"longer than 0\.5 s"):
            await history.ask_history(primary.place, silent, 0)
        assert time.monotonic() - began < 3
