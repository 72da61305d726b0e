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


async def _fail_once(queue: KeyedQueue[str]) -> float:
    queue.add("a")
    delay = queue.failed(await queue.take())
    queue.done("a")
    return delay


def test_events_do_not_end_a_backoff() -> None:
    async def story() -> tuple[float, float]:
        queue: KeyedQueue[str] = KeyedQueue(lambda: 1.0)
        delay = await _fail_once(queue)
        queue.add("a")
        queue.add_after("a", 0.1)
        assert len(queue) == 0
        await queue.take()
        return delay, asyncio.get_running_loop().time()

    delay, taken = run(story())
    assert taken == delay


def test_news_end_the_wait_after_a_conflict() -> None:
    async def story() -> None:
        queue: KeyedQueue[str] = KeyedQueue(lambda: 1.0)
        queue.add("a")
        queue.failed(await queue.take(), hold=False)
        queue.done("a")
        queue.add("a")
        assert len(queue) == 1

    run(story())


def test_an_event_during_a_look_that_fails_does_not_end_its_backoff_either() -> None:
    async def story() -> tuple[float, float]:
        queue: KeyedQueue[str] = KeyedQueue(lambda: 1.0)
        queue.add("a")
        key = await queue.take()
        queue.add(key)
        delay = queue.failed(key)
        queue.done(key)
        await queue.take()
        return delay, asyncio.get_running_loop().time()

    delay, taken = run(story())
    assert taken == delay


def test_a_person_ends_a_backoff() -> None:
    async def story(*, while_working: bool) -> None:
        queue: KeyedQueue[str] = KeyedQueue(lambda: 1.0)
        queue.add("a")
        key = await queue.take()
        if while_working:
            queue.hurry(key)
            queue.add(key)
        queue.failed(key)
        queue.done(key)
        if not while_working:
            queue.hurry(key)
        assert len(queue) == 1
        await queue.take()
        assert asyncio.get_running_loop().time() == 0.0

    run(story(while_working=False))
    run(story(while_working=True))


def test_after_a_backoff_events_count_again() -> None:
    async def story() -> None:
        queue: KeyedQueue[str] = KeyedQueue(lambda: 1.0)
        await _fail_once(queue)
        queue.done(await queue.take())
        queue.add("a")
        assert len(queue) == 1

    run(story())


def test_a_stall_is_a_queue_of_which_nobody_takes() -> None:
    async def story() -> None:
        queue: KeyedQueue[str] = KeyedQueue(lambda: 0.0)
        assert queue.stalled_s() == 0.0
        for key in ("a", "b", "c"):
            queue.add(key)
        await asyncio.sleep(7)
        assert queue.stalled_s() == 7.0
        await queue.take()
        assert queue.stalled_s() == 0.0, "c has waited for seven seconds, and the queue moves"
        await asyncio.sleep(3)
        assert queue.stalled_s() == 3.0

    run(story())
