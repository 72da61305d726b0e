"""Ten staggered writers through one address, and the check that every acknowledged row is still there."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from e2e.probe.record import Acknowledgement
from e2e.probe.session import FAILURES, Session, first_line

WRITERS = 10
PAUSE_S = 0.1
RETRY_S = 0.05
LOOK_S = 0.05
TABLE = "matriarch_probe"


class Writers:
    """Each writer inserts a row, notes the acknowledgement and rests for PAUSE_S: together about a hundred a second."""

    def __init__(self, conninfo: str, run_id: str) -> None:
        self._conninfo = conninfo
        self._run = run_id
        self.acknowledged: list[Acknowledgement] = []
        self.errors: Counter[str] = Counter()
        self.offset = time.time() - time.monotonic()

    async def prepare(self, within: float) -> None:
        """Create the table. Raises the last error when that does not work within `within` seconds."""
        session = Session(self._conninfo)
        await session.execute_within(
            f"create table if not exists {TABLE} (run text, w int, n bigint, t timestamptz default now(), "
            "primary key (run, w, n))",
            within,
        )
        session.close()

    async def run(self, stop: asyncio.Event) -> None:
        """Write until `stop` is set."""
        async with asyncio.TaskGroup() as group:
            for writer in range(WRITERS):
                group.create_task(self._write(writer, stop))

    async def _write(self, writer: int, stop: asyncio.Event) -> None:
        await asyncio.sleep(writer * PAUSE_S / WRITERS)
        session, number = Session(self._conninfo), 0
        while not stop.is_set():
            number += 1
            sent = time.monotonic()
            try:
                await session.execute(
                    f"insert into {TABLE} (run, w, n) values (%s, %s, %s)", (self._run, writer, number)
                )
            except FAILURES as error:
                session.close()
                self.errors[first_line(error)] += 1
                await asyncio.sleep(RETRY_S)
            else:
                self.acknowledged.append(Acknowledgement(sent, time.monotonic(), writer, number))
                await asyncio.sleep(PAUSE_S)
        session.close()

    async def all_write(self, within: float) -> None:
        """Return when each writer has an acknowledgement for what it sent from now on, or after `within` seconds."""
        began = time.monotonic()
        seen, waiting = len(self.acknowledged), set(range(WRITERS))
        while waiting and time.monotonic() < began + within:
            await asyncio.sleep(LOOK_S)
            waiting -= {one.writer for one in self.acknowledged[seen:] if one.sent >= began}

    async def lost(self, within: float) -> list[tuple[int, int]] | None:
        """Acknowledged rows that are missing now; None when nobody could be asked within `within` seconds."""
        session = Session(self._conninfo)
        query = f"select w, n from {TABLE} where run = %s"
        try:
            rows = await session.execute_within(query, within, (self._run,), timeout=20.0)
        except FAILURES:
            return None
        finally:
            session.close()
        there = {(int(w), int(n)) for w, n in rows}
        return sorted({(one.writer, one.number) for one in self.acknowledged} - there)
