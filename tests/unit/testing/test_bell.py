from __future__ import annotations

import asyncio

from matriarch.testing.bell import Bell
from matriarch.testing.virtual_time import run


def test_ringing_wakes_who_waits_and_nobody_later() -> None:
    async def main() -> list[str]:
        bell, heard = Bell(), []

        async def listener(name: str, delay: float) -> None:
            await asyncio.sleep(delay)
            await bell.wait()
            heard.append(name)

        early = asyncio.create_task(listener("early", 0))
        gone = asyncio.create_task(listener("gone", 0))
        late = asyncio.create_task(listener("late", 2))
        await asyncio.sleep(1)
        gone.cancel()
        bell.ring()
        bell.ring()
        await asyncio.sleep(2)
        assert early.done() and not late.done()
        bell.ring()
        await late
        return heard

    assert run(main()) == ["early", "late"]
