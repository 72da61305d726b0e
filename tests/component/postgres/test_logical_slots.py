"""A consumer of logical changes across a failover: nothing is missing, and nothing was seen that did not survive."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import replace

import pytest
from component.postgres.member import QUICK, Member, Members
from component.postgres.test_replication import caught_up, until
from component.postgres.test_settings import in_force

from matriarch.ha.settings import ClusterSettings, settings_from
from matriarch.ha.slots import PermanentSlot
from matriarch.ha.view import PostgresView, Slot
from matriarch.words.sync_names import NOBODY, every
from matriarch_agent.ports import StartMode

pytestmark = [pytest.mark.component, pytest.mark.needs_postgres(17)]

PLUGINS = ("test_decoding", "pgoutput")
COPIED_S = 150.0
"""The server looks once a minute whether a slot worker that lost the primary is to be started again."""


def settings(plugin: str) -> ClusterSettings:
    document = {"slots": {"feed": {"type": "logical", "database": "postgres", "plugin": plugin}}}
    return replace(
        QUICK, parameters={**QUICK.parameters, "wal_level": "logical"}, slots=settings_from(document).slots
    )


class Consumer:
    """Takes changes from a slot, and remembers what it saw."""

    def __init__(self, plugin: str) -> None:
        self._plugin = plugin
        self.seen: list[int] = []

    async def take(self, member: Member) -> None:
        if self._plugin == "pgoutput":
            query = "select encode(data, 'hex') from pg_logical_slot_get_binary_changes('feed', null, null, "
            rows = await member.postgres._session.rows(
                query + "'proto_version', '1', 'publication_names', 'everything')", timeout=10.0
            )
            self.seen += [inserted(bytes.fromhex(row[0])) for row in rows if row[0].startswith("49")]
            return
        rows = await member.postgres._session.rows(
            "select data from pg_logical_slot_get_changes('feed', null, null)", timeout=10.0
        )
        self.seen += [int(row[0].rpartition(":")[2]) for row in rows if "INSERT" in row[0]]


def inserted(message: bytes) -> int:
    """The one integer column of a pgoutput Insert message."""
    length = struct.unpack_from("!I", message, 1 + 4 + 1 + 2 + 1)[0]
    return int(message[13 : 13 + length])


async def write(member: Member, first: int, count: int) -> None:
    await member.sql(f"insert into public.t select generate_series({first}, {first + count - 1})")


async def feed_on(member: Member) -> Slot | None:
    view = await member.postgres.observe()
    return next((slot for slot in view.slots or () if slot.name == "feed"), None)


async def copied(member: Member, primary: Member, consumer: Consumer) -> None:
    """Wait for the server's own copy. It counts only once the consumer has moved the slot past the oldest transaction
    that the standby knows, which is told every 15 seconds unless one asks for it."""
    async with asyncio.timeout(COPIED_S):
        while True:
            slot = await feed_on(member)
            if slot is not None and slot.synced and slot.failover:
                return
            await primary.sql("select pg_log_standby_snapshot()")
            await consumer.take(primary)
            await asyncio.sleep(0.3)


def rid_of_copies(view: PostgresView) -> bool:
    return view.slots == () and view.applied is None


async def a_pair(members: Members, plugin: str, consumer: Consumer) -> tuple[Member, Member]:
    """A primary with the slot, and a synchronous replica with its copy."""
    wanted = settings(plugin)
    primary = await members.primary()
    await primary.postgres.stop(fast=True)
    await primary.postgres.start(StartMode(primary=True), wanted)
    await primary.sql("create table public.t (id int)")
    await primary.sql("create publication everything for all tables")
    replica = await members.make("demo-1")
    await replica.postgres.clone(primary.upstream, wanted)
    await primary.postgres.sync_slots(("demo_1",), ())
    await replica.postgres.start(StartMode(primary=False, upstream=primary.upstream), wanted)
    await until(replica, "streaming", lambda view: view.streaming)
    await primary.postgres.create_logical_slot(wanted.slots.permanent["feed"])
    await primary.postgres.set_sync_names(every(("demo-1",)))
    await copied(replica, primary, consumer)
    return primary, replica


@pytest.mark.parametrize("plugin", PLUGINS)
async def test_a_consumer_loses_no_change_across_a_failover(members: Members, plugin: str) -> None:
    consumer = Consumer(plugin)
    primary, replica = await a_pair(members, plugin, consumer)
    await write(primary, 1, 10)
    await consumer.take(primary)
    assert consumer.seen == list(range(1, 11))
    await write(primary, 11, 10)
    await caught_up(replica, primary)
    await primary.postgres.kill()
    await replica.postgres.promote()
    await write(replica, 21, 10)
    await consumer.take(replica)
    assert set(consumer.seen) == set(range(1, 31)), "at least once, and none is missing"
    assert consumer.seen[-10:] == list(range(21, 31))

    # The former primary comes back: its own slot makes room for a copy of the new primary's.
    await primary.postgres.rewind(replica.upstream)
    await replica.postgres.sync_slots(("demo_0",), ())
    await primary.postgres.start(StartMode(primary=False, upstream=replica.upstream), settings(plugin))
    await until(primary, "streaming", lambda view: view.streaming and view.timeline == 2)
    left = await feed_on(primary)
    if left is not None and not left.synced:
        await primary.postgres.sync_slots((), ("feed",))
    await copied(primary, replica, consumer)


async def test_a_consumer_sees_nothing_that_the_synchronous_standby_does_not_have(members: Members) -> None:
    """Otherwise it would have changes, after a failover, that never happened."""
    consumer = Consumer("test_decoding")
    primary, replica = await a_pair(members, "test_decoding", consumer)
    await replica.postgres.follow(None, settings("test_decoding"))
    await write(primary, 1, 5)
    with pytest.raises(Exception, match="statement timeout"):
        await consumer.take(primary)
    assert consumer.seen == []
    await replica.postgres.follow(primary.upstream, settings("test_decoding"))
    await until(replica, "streaming", lambda view: view.streaming)
    await caught_up(replica, primary)
    await consumer.take(primary)
    assert consumer.seen == [1, 2, 3, 4, 5]
    await replica.postgres.follow(None, settings("test_decoding"))
    await write(primary, 6, 5)
    await primary.postgres.set_sync_names(NOBODY)
    async with asyncio.timeout(10):
        await consumer.take(primary)
    assert consumer.seen[-5:] == [6, 7, 8, 9, 10], "nobody may be promoted any more, so there is nobody to wait for"


async def test_copies_of_a_slot_that_nobody_asks_for_any_more_are_removed(members: Members) -> None:
    """Only the server can remove them, and only while it copies: they would hold WAL back for ever, and a standby with
    them does not start again once wal_level is lowered."""
    consumer = Consumer("test_decoding")
    primary, replica = await a_pair(members, "test_decoding", consumer)
    without = replace(settings("test_decoding"), slots=ClusterSettings().slots)
    await replica.postgres.observe()
    await replica.postgres.apply(without)
    await primary.postgres.apply(without)
    assert (await replica.postgres.observe()).applied == without
    assert await replica.sql("show sync_replication_slots") == "on", "until they are gone"
    await primary.postgres.sync_slots((), ("feed",))
    view = await until(replica, "without copies", rid_of_copies, within=COPIED_S)
    assert view.running
    await replica.postgres.apply(without)
    await in_force(replica, "sync_replication_slots", "off")
    await in_force(replica, "hot_standby_feedback", "off")
    assert (await replica.postgres.observe()).applied == without


async def test_servers_that_cannot_decode_yet_go_on_and_are_told_to_restart(members: Members) -> None:
    """A standby that is told to copy slots while its wal_level is too low ends at once, and so does one that has copies
    and starts with a lower one: neither may follow from a setting."""
    wanted = replace(QUICK, slots=settings("test_decoding").slots)
    primary = await members.primary()
    replica = await members.replica(primary, "demo-1")
    await until(replica, "streaming", lambda view: view.streaming)
    for member in (replica, primary):
        began = (await member.postgres.observe()).postmaster_start_time
        await member.postgres.apply(wanted)
        view = await until(member, "told", lambda view: "wal_level" in view.pending_restart)
        await asyncio.sleep(0.5)
        assert (await member.postgres.observe()).postmaster_start_time == began
        assert view.pending_restart["wal_level"] == {"old_value": "replica", "new_value": "logical"}
    await replica.postgres.stop(fast=True)
    await replica.postgres.start(StartMode(primary=False, upstream=primary.upstream), wanted)
    await primary.postgres.stop(fast=True)
    await primary.postgres.start(StartMode(primary=True), wanted)
    await primary.postgres.create_logical_slot(wanted.slots.permanent["feed"])
    await copied(replica, primary, Consumer("test_decoding"))

    await replica.postgres.stop(fast=True)
    await replica.postgres.start(StartMode(primary=False, upstream=primary.upstream), QUICK)
    assert await replica.sql("show wal_level") == "logical", "it has a copy still"
    await until(replica, "streaming", lambda view: view.streaming)


async def test_a_slot_in_a_database_that_is_not_there_is_an_error_and_no_slot(members: Members) -> None:
    primary = await members.primary()
    with pytest.raises(Exception, match="does not exist"):
        await primary.postgres.create_logical_slot(PermanentSlot("feed", "no_such_database", "pgoutput"))
    assert await feed_on(primary) is None
