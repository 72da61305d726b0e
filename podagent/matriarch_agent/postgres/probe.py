"""Whether a client could work here: a new session now and then, and a commit when the log seems to stand still.

The agent's lasting session proves little: it goes on while the postmaster hangs, while files are out of reach for every
new process, and while no commit reaches the disk. So this opens sessions of its own, by the protocol itself, because
libpq does not tell the code of an error that ends a connection attempt.

What counts as unusable: no answer at all, and the errors of a server that lacks its files, its disk or its senses.
What does not: all connections taken, a start, a shutdown or a crash recovery under way, a role or database that is
gone, a wish for a password: whoever says so is alive.
"""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from dataclasses import dataclass

from matriarch_agent.init import kernel
from matriarch_agent.postgres.place import Place

EVERY_S = 2.5
"""Seconds between two sessions while all is well; a little less than between two looks, which begin them."""
AGAIN_S = 1.0
"""Seconds between two when the last one got nowhere, or something else looks wrong."""
GIVE_UP_S = 30.0
"""Seconds without an answer after which an attempt is made anew. Not sooner: a server that is only slow is to be given
the time to answer."""
SLICE_S = 0.5
COUNTED_S = 3.5
"""The longest time between two pieces of evidence that counts: an agent that itself stood still, or its whole machine,
has learnt nothing meanwhile."""
STILL_S = 2.0
"""Seconds for which the log may have unflushed records and not move before a commit is tried."""
_PROTOCOL = 196608
_LONGEST = 65536
_COMMIT = "select pg_catalog.pg_logical_emit_message(true, 'matriarch', '')"
"""A transaction that leaves a record of some bytes and nothing else; its commit waits for the disk."""
_OPTIONS = "-c synchronous_commit=local -c default_transaction_read_only=off"
"""Nothing that only a superuser may set: the refusal of that would say nothing about the server."""
_UNUSABLE = ("58", "XX", "53100")
"""SQLSTATEs, or their classes: system errors, internal errors, disk full."""
_DENIED = "42501"
_STORAGE = frozenset({"fd.c", "md.c", "relmapper.c", "slru.c"})
"""Postgres' own files, in which a denied permission is one of its data files and not one of a role."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What a server said that ended a session."""

    code: str
    text: str
    origin: str = ""
    """The source file that tells it."""

    @property
    def unusable(self) -> bool:
        """Whether every client would be told the same, and could do nothing."""
        return self.code.startswith(_UNUSABLE) or (self.code == _DENIED and self.origin in _STORAGE)


class Probe:
    """Tries sessions beside everything else; `look` starts them and tells what came of them, without waiting."""

    def __init__(self, place: Place, user: str) -> None:
        self._place = place
        self._user = user
        self._task: asyncio.Task[None] | None = None
        self._postmaster: int | None = None
        self._ended = -GIVE_UP_S
        self._bad_for: float | None = None
        self._evidence_at = 0.0
        self._why = ""
        self._flushed: tuple[int | None, float] = (None, 0.0)

    def look(self, postmaster: int | None, *, suspicious: bool, stands_still: bool) -> tuple[float | None, str]:
        """For how many seconds nobody has been able to work here, and why; (None, "") when somebody can.

        `suspicious`: the lasting session got no answer. `stands_still`: records wait for the disk (see `still`).
        """
        if postmaster != self._postmaster:
            self.forget()
            self._postmaster = postmaster
        hurry = suspicious or stands_still or self._bad_for is not None
        if self._task is None and kernel.now() - self._ended >= (AGAIN_S if hurry else EVERY_S):
            self._task = asyncio.create_task(self._attempt(commit=stands_still), name="probe")
        return self._bad_for, self._why

    def still(self, inserted: int | None, flushed: int | None) -> bool:
        """Whether the log has had records that are not on disk, and has not moved, for a while. LSNs of a primary."""
        now = kernel.now()
        if flushed is None or inserted is None or flushed >= inserted or flushed != self._flushed[0]:
            self._flushed = (flushed, now)
        return now - self._flushed[1] >= STILL_S

    def forget(self) -> None:
        """Another server, or none that takes sessions."""
        if self._task is not None:
            self._task.cancel()
        self._task, self._postmaster = None, None
        self._ended = -GIVE_UP_S
        self._flushed = (None, kernel.now())
        self._note("")

    async def _attempt(self, *, commit: bool) -> None:
        if self._bad_for is None:
            self._evidence_at = kernel.now()
        waiting = "a commit does not end" if commit else "no answer to a new session"
        session = asyncio.ensure_future(_session(self._place, self._user, _COMMIT if commit else ""))
        try:
            for _ in range(int(GIVE_UP_S / SLICE_S)):
                await asyncio.wait({session}, timeout=SLICE_S)
                if session.done():
                    break
                self._note(waiting)
        except asyncio.CancelledError:
            session.cancel()
            raise
        if session.done():
            self._note(_verdict(session))
        session.cancel()
        self._task, self._ended = None, kernel.now()

    def _note(self, why: str) -> None:
        """Evidence of this moment: what is wrong, or that nothing is."""
        now = kernel.now()
        counted = min(now - self._evidence_at, COUNTED_S)
        self._bad_for = (self._bad_for or 0.0) + counted if why else None
        self._evidence_at, self._why = now, why


def _verdict(session: asyncio.Future[Refused | None]) -> str:
    """What is wrong, by how a session ended. Nobody at the socket, or one who hangs up without a word, says nothing:
    the processes themselves tell more than that."""
    error = session.exception()
    if error is not None:
        if not isinstance(error, OSError | ValueError | asyncio.IncompleteReadError):
            raise error
        return ""
    refused = session.result()
    return f"{refused.code} {refused.text}"[:300] if refused is not None and refused.unusable else ""


async def _session(place: Place, user: str, statement: str) -> Refused | None:
    """Open a session, run `statement` if there is one, and leave. What the server refused; None when all went well, or
    when it asks for a password, which proves that it lives."""
    reader, writer = await asyncio.open_unix_connection(str(place.run / f".s.PGSQL.{place.port}"))
    try:
        writer.write(_startup(user))
        refused = await _until_ready(reader)
        if refused is None and statement:
            body = statement.encode() + b"\0"
            writer.write(b"Q" + struct.pack("!i", len(body) + 4) + body)
            refused = await _until_ready(reader)
        writer.write(b"X\0\0\0\4")
        return refused
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _startup(user: str) -> bytes:
    words = ("user", user, "database", "postgres", "application_name", "matriarch-probe", "options", _OPTIONS)
    body = struct.pack("!i", _PROTOCOL) + b"".join(word.encode() + b"\0" for word in words) + b"\0"
    return struct.pack("!i", len(body) + 4) + body


async def _until_ready(reader: asyncio.StreamReader) -> Refused | None:
    """Read until the server waits for a statement, or has refused."""
    while True:
        kind, length = struct.unpack("!ci", await reader.readexactly(5))
        if not 4 <= length <= _LONGEST:
            raise ValueError("this is no Postgres")
        body = await reader.readexactly(length - 4)
        if kind == b"E":
            return _refused(body)
        if kind == b"Z" or (kind == b"R" and body[:4] != b"\0\0\0\0"):
            return None


def _refused(body: bytes) -> Refused:
    """The code and the text of an ErrorResponse."""
    fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
    return Refused(fields.get(b"C", ""), fields.get(b"M", ""), fields.get(b"F", ""))
