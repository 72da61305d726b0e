"""The keyed queue, on virtual time."""

from __future__ import annotations

import asyncio

from matriarch.testing.virtual_time import run
from matriarch_operator.queue import KeyedQueue


def test_a_key_is_taken_once_however_often_it_was_added() -> None:
    async def story() -> None:
        queue: KeyedQueue[str] = KeyedQueue(lambda: 0.0)
        queue.add("a")
        queue.add("a")
        assert await queue.take() == "a"
        assert len(queue) == 0

    run(story())


def test_a_key_in_somebodys_hands_comes_again_when_given_back() -> None:
    async def story() -> None:
        queue: KeyedQueue[str] = KeyedQueue(lambda: 0.0)
        queue.add("a")
        key = await queue.take()
        queue.add("a")
        assert len(queue) == 0
        queue.done(key)
        assert await queue.take() == "a"

    run(story())


def test_a_planned_look_comes_in_time_and_an_earlier_plan_stays() -> None:
    async def story() -> float:
        queue: KeyedQueue[str] = KeyedQueue(lambda: 0.0)
        queue.add_after("a", 5.0)
        queue.add_after("a", 50.0)
        await queue.take()
        return asyncio.get_running_loop().time()

    assert run(story()) == 5.0


def test_failures_are_farther_and_farther_apart_up_to_a_bound() -> None:
    async def story() -> list[float]:
        queue: KeyedQueue[str] = KeyedQueue(lambda: 1.0)
        delays = []
        for _ in range(12):
            delays.append(queue.failed("a"))
            await queue.take()
            queue.done("a")
        queue.succeeded("a")
        return [*delays, queue.failed("a")]

    *delays, after_success = run(story())
    assert delays == sorted(delays)
    assert delays[-1] == 60.0
    assert after_success == delays[0]


def test_oldest_wait() -> None:
    async def story() -> float:
        queue: KeyedQueue[str] = KeyedQueue(lambda: 0.0)
        queue.add("a")
        await asyncio.sleep(7)
        return queue.oldest_wait_s()

    assert run(story()) == 7.0
