"""Work that reads another member's server goes on for as long as that server says anything at all.

A server that died, or a network that is gone, ends the work's own connection. One that is frozen does not: its kernel
goes on acknowledging, and a copy or a rewind would wait for it for ever while somebody else leads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from matriarch.config.files import Source, connection
from matriarch.words.errors import ProgramFailed
from matriarch_agent.init import kernel
from matriarch_agent.postgres import programs
from matriarch_agent.postgres.place import Place

T = TypeVar("T")

ASK_EVERY_S = 10.0
SILENT_S = 60.0
"""Seconds without any answer after which the work is broken off. Whoever leads instead has long been found by then."""
_ASK_WITHIN_S = 5.0
_SPEAKS = (0, 1)
"""pg_isready's status for a server that takes sessions, or says that it does not now, to us or to anybody."""


async def while_it_answers(place: Place, source: Source, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which reads `source`. Raises ProgramFailed when the work was broken off."""
    working = asyncio.ensure_future(work)
    silence = asyncio.ensure_future(_silence(place, source))
    try:
        await asyncio.wait({working, silence}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return await working
        await silence
        raise ProgramFailed(f"broken off: {source.member} has not answered for {SILENT_S:.0f} s")
    finally:
        working.cancel()
        silence.cancel()
        await asyncio.wait({working, silence})


async def _silence(place: Place, source: Source) -> None:
    """Return when the source has been silent for too long."""
    heard = kernel.now()
    while kernel.now() - heard < SILENT_S:
        await asyncio.sleep(ASK_EVERY_S)
        asked = kernel.now()
        if await _speaks(place, source):
            heard = asked


async def _speaks(place: Place, source: Source) -> bool:
    where = connection(source, application_name=f"{place.member}-ask")
    argv = [place.program("pg_isready"), "--quiet", "--timeout=3", f"--dbname={where}"]
    try:
        output = await programs.run(argv, place.environment(), timeout=_ASK_WITHIN_S)
    except ProgramFailed:
        return False
    return output.status in _SPEAKS
