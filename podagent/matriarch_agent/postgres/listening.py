"""What is asked between two looks, in one short question each: a look asks for everything, and costs accordingly.

Has the stream fallen silent? Are the standbys still the same? The answers wake the agent; what they mean, it finds out
by a look. Nothing is lost with a question that fails: it wakes the agent as well.
"""

from __future__ import annotations

import asyncio
import math

from matriarch.words.errors import PostgresError
from matriarch_agent.init import kernel
from matriarch_agent.postgres.observe import age_of
from matriarch_agent.postgres.sql import Session

EVERY_S = 0.4
"""Seconds between two questions for the standbys of a primary whose commits wait for them."""
WITHIN_S = 1.0
MUCH_WAL = 64 * 1024 * 1024
"""Bytes after which it is worth a look how far the primary is: about a second of crash recovery."""
SAME_S = 0.05
"""Two moments that are computed from an age and differ by less are one."""
_HEARD = """
select extract(epoch from clock_timestamp() - last_msg_receipt_time)::float8
from (select 1) one left join pg_stat_get_wal_receiver() on pid is not null
"""
_STANDBYS = """
select coalesce(string_agg(format('%s %s %s', pid, state, flush_lsn is null), ',' order by pid), ''),
  case when pg_is_in_recovery() then 0 else pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint end
from pg_stat_get_wal_senders()
"""


class Listening:
    """Asks one server, over the agent's own session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._heed = asyncio.Event()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._standbys: str | None = None
        self._lsn = 0
        self._silent_since = -math.inf
        self._had_receiver = False

    def heed_standbys(self, heed: bool) -> None:
        """Whether commits wait for standbys here."""
        if heed:
            self._heed.set()
        else:
            self._heed.clear()
            self._standbys = None

    async def standbys_changed(self) -> None:
        """Return when a standby has come, gone, caught up or told its first position since the last return, or much WAL
        was written."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep_asking(), name="standbys")
        await self._changed.wait()
        self._changed.clear()

    async def silence(self, seconds: float) -> None:
        """Return when the WAL receiver has had no message for so long, once for each silence, or is gone; after as many
        seconds when the server does not tell."""
        while True:
            try:
                (age,) = await self._session.row(_HEARD, timeout=WITHIN_S)
            except PostgresError:
                await asyncio.sleep(seconds)
                return
            if age is not None and age_of(age) is None:
                # The clock was set back, and until the next message nobody knows: as good as no answer.
                self._had_receiver = True
                await asyncio.sleep(seconds)
                return
            if self._tells(age, seconds):
                return
            await asyncio.sleep(seconds - age if age is not None and age < seconds else seconds)

    def close(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _tells(self, age: float | None, seconds: float) -> bool:
        had, self._had_receiver = self._had_receiver, age is not None
        if age is None:
            return had
        since = kernel.now() - age
        if age < seconds or since - self._silent_since < SAME_S:
            return False
        self._silent_since = since
        return True

    async def _keep_asking(self) -> None:
        while True:
            await self._heed.wait()
            await asyncio.sleep(EVERY_S)
            try:
                standbys, lsn = await self._session.row(_STANDBYS, timeout=WITHIN_S)
            except PostgresError:
                standbys, lsn = None, self._lsn
            # The first answer is news as well: nobody knows what came between the last look and it.
            if standbys is None or standbys != self._standbys or lsn - self._lsn > MUCH_WAL:
                self._standbys, self._lsn = standbys, lsn
                self._changed.set()
