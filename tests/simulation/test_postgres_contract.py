"""The fake Postgres and the real adapter keep the same contract."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from component.postgres.member import Member, Members
from component.postgres.unprivileged import as_postgres

from matriarch.ha.view import Upstream
from matriarch.testing.fake_network import FakeNetwork
from matriarch.testing.fake_postgres import FakePostgres
from matriarch.testing.fake_postgres_server import Server
from matriarch.testing.fake_postgres_site import Hazards, Site
from matriarch.testing.fake_postgres_wal import SEGMENT, Branch, DataDir, Volume
from matriarch.testing.virtual_time import run
from matriarch_agent.ports import StartMode
from simulation.postgres_contract import CONTRACT
from simulation.postgres_stage import SETTINGS, Party, Stage

Clause = Callable[[Stage], Awaitable[None]]


class Audience:
    """A Watcher that only objects."""

    def event(self, member: str, what: str) -> None:
        del member, what

    def violation(self, rule: int, member: str, what: str) -> None:
        raise AssertionError(f"rule {rule}: {member} {what}")

    def changed(self, server: Server) -> None:
        del server

    def acknowledged(self, server: Server, branch: Branch, lsn: int) -> None:
        del server, branch, lsn

    def data_replaced(self, server: Server, old: DataDir | None, new: DataDir | None, how: str) -> None:
        del server, old, new, how

    def slot_dropped(self, server: Server, slot: str) -> None:
        del server, slot


class FakeParty:
    def __init__(self, name: str, site: Site) -> None:
        self.name = name
        self.server = Server(name, f"10.0.0.{len(site.servers)}", site, random.Random(name), Hazards(), Volume(0))
        self.postgres = FakePostgres(self.server)

    @property
    def upstream(self) -> Upstream:
        return Upstream(self.name, self.server.host)

    async def write(self) -> None:
        await self.server.commit(100)

    async def finish_segment(self) -> None:
        self.server.insert(SEGMENT - self.server.disk.flushed % SEGMENT)


class FakeStage:
    def __init__(self) -> None:
        self._site = Site(FakeNetwork(random.Random(1)), Audience())

    async def primary(self) -> Party:
        party = FakeParty("demo-0", self._site)
        await party.postgres.bootstrap(SETTINGS, ())
        await party.postgres.start(StartMode(primary=True), SETTINGS)
        return party

    async def replica(self, of: Party, name: str) -> Party:
        party = FakeParty(name, self._site)
        await party.postgres.clone(of.upstream, SETTINGS)
        await of.postgres.sync_slots((name.replace("-", "_"),), ())
        await party.postgres.start(StartMode(False, of.upstream), SETTINGS)
        return party


class RealParty:
    def __init__(self, member: Member) -> None:
        self._member = member
        self.name = member.name
        self.postgres = member.postgres
        self.upstream = member.upstream

    async def write(self) -> None:
        # The adapter's own session commits with synchronous_commit=local: this one must wait.
        text = "set synchronous_commit = on; create table if not exists public.written as select 1"
        await self._member.sql(text.replace("written", f"written_{random.getrandbits(60)}"))

    async def finish_segment(self) -> None:
        await self._member.sql("select pg_logical_emit_message(false, 'x', 'y')::text")
        await self._member.sql("select pg_switch_wal()::text")


class RealStage:
    def __init__(self, members: Members) -> None:
        self._members = members
        self._parties: dict[str, Member] = {}

    async def primary(self) -> Party:
        member = self._parties["demo-0"] = await self._members.primary("demo-0")
        return RealParty(member)

    async def replica(self, of: Party, name: str) -> Party:
        member = self._parties[name] = await self._members.replica(self._parties[of.name], name)
        return RealParty(member)


@pytest.fixture
async def real_stage() -> AsyncIterator[RealStage]:
    with as_postgres():
        members = Members()
        try:
            yield RealStage(members)
        finally:
            await members.end()
            members.remove()


@pytest.mark.parametrize("clause", CONTRACT, ids=lambda clause: clause.__name__.replace("_", "-"))
def test_the_fake_keeps_the_contract(clause: Clause) -> None:
    async def perform() -> None:
        await clause(FakeStage())

    run(perform())


@pytest.mark.component
@pytest.mark.parametrize("clause", CONTRACT, ids=lambda clause: clause.__name__.replace("_", "-"))
async def test_the_real_one_keeps_the_contract(clause: Clause, real_stage: RealStage) -> None:
    await clause(real_stage)
