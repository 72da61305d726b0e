"""Writes straight to every member, whatever its labels say: two writable servers at once would be seen here.

A member that is in recovery refuses the insert, which is the normal answer of a replica. Every address that a member
ever had is asked until the end: an isolated or half-deleted pod may still live behind an old one.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping

import psycopg

from e2e.probe.record import DirectWrite
from e2e.probe.session import FAILURES, Session, first_line

TABLE = "matriarch_probe_members"
PAUSE_S = 0.1
LOOK_S = 0.5
INSERT = (
    f"insert into {TABLE} (run, member, address, n) values (%s, %s, %s, %s) "
    "returning ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int"
)


class Members:
    """One task per address; `addresses` answers member name -> address and is asked again and again."""

    def __init__(self, conninfo: Callable[[str], str], addresses: Callable[[], Mapping[str, str]], run_id: str) -> None:
        self._conninfo = conninfo
        self._addresses = addresses
        self._run = run_id
        self.writes: list[DirectWrite] = []
        self.refusals: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()

    async def prepare(self, session: Session, within: float) -> None:
        """Create the table through a session to the primary, within so many seconds."""
        await session.execute_within(
            f"create table if not exists {TABLE} (run text, member text, address text, n bigint, "
            "t timestamptz default now(), primary key (run, address, n))",
            within,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Ask every address until `stop` is set."""
        known: set[tuple[str, str]] = set()
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                for member, address in (await asyncio.to_thread(self._addresses)).items():
                    if (member, address) not in known:
                        known.add((member, address))
                        group.create_task(self._ask(member, address, stop))
                await asyncio.sleep(LOOK_S)

    async def _ask(self, member: str, address: str, stop: asyncio.Event) -> None:
        session, number = Session(self._conninfo(address)), 0
        while not stop.is_set():
            number += 1
            sent = time.monotonic()
            try:
                rows = await session.execute(INSERT, (self._run, member, address, number))
            except psycopg.errors.ReadOnlySqlTransaction:
                self.refusals[member] += 1
            except FAILURES as error:
                session.close()
                self.errors[f"{member}: {first_line(error)}"] += 1
            else:
                write = DirectWrite(sent, time.monotonic(), member, address, int(rows[0][0]), number)
                self.writes.append(write)
            await asyncio.sleep(PAUSE_S)
        session.close()

    async def lost(self, session: Session, within: float) -> int:
        """How many acknowledged direct writes are missing at the address that `session` speaks to. Raises what
        `Session.execute` raises when nobody could be asked within `within` seconds."""
        query = f"select address, n from {TABLE} where run = %s"
        rows = await session.execute_within(query, within, (self._run,), timeout=20.0)
        there = {(str(address), int(n)) for address, n in rows}
        return len({(one.address, one.number) for one in self.writes} - there)
