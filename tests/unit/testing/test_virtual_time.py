from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matriarch.testing.virtual_time import DeadlockError, run


def _now() -> float:
    return asyncio.get_running_loop().time()


def test_an_hour_of_short_sleeps_takes_no_real_time() -> None:
    async def idle() -> float:
        for _ in range(36_000):
            await asyncio.sleep(0.1)
        return _now()

    began = time.monotonic()
    assert run(idle()) == pytest.approx(3600.0)
    assert time.monotonic() - began < 5


def test_the_clock_starts_where_it_is_told() -> None:
    async def main() -> tuple[float, float]:
        before = _now()
        await asyncio.sleep(2)
        return before, _now()

    assert run(main(), start=1000.0) == (1000.0, 1002.0)


def test_timeouts_fire_at_their_virtual_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(7.5):
                await asyncio.Event().wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 2.5)
        return _now()

    assert run(main()) == pytest.approx(10.0)


def test_events_and_groups_wake_each_other() -> None:
    async def main() -> list[tuple[str, float]]:
        seen: list[tuple[str, float]] = []
        event = asyncio.Event()

        async def waiter() -> None:
            await event.wait()
            seen.append(("woken", _now()))

        async def setter() -> None:
            await asyncio.sleep(3)
            event.set()
            seen.append(("set", _now()))

        async with asyncio.TaskGroup() as group:
            group.create_task(waiter())
            group.create_task(setter())
        return seen

    assert run(main()) == [("set", 3.0), ("woken", 3.0)]


def test_waiting_for_nothing_is_an_error_that_says_where() -> None:
    cleaned: list[str] = []

    async def stuck() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("yes")

    async def main() -> None:
        await asyncio.sleep(4)
        await asyncio.create_task(stuck(), name="the stuck one")

    with pytest.raises(DeadlockError, match=r"(?s)at 4\.000 s.*the stuck one: .*stuck"):
        run(main())
    assert cleaned == ["yes"]


def test_threads_are_refused() -> None:
    async def main() -> None:
        await asyncio.to_thread(time.sleep, 0)

    with pytest.raises(RuntimeError, match="no threads"):
        run(main())


def test_an_exception_comes_out_as_it_is() -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        raise KeyError("x")

    with pytest.raises(KeyError):
        run(main())


def test_a_group_cancels_its_children_in_the_same_order_every_time() -> None:
    async def main() -> list[str]:
        order: list[str] = []

        async def child() -> None:
            try:
                await asyncio.sleep(100)
            finally:
                task = asyncio.current_task()
                order.append(task.get_name() if task else "")

        async def failing() -> None:
            await asyncio.sleep(1)
            raise ValueError

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(50):
                    group.create_task(child())
                group.create_task(failing())
        except* ValueError:
            pass
        return order

    first = run(main())
    assert len(first) == 50
    garbage = [object() for _ in range(1234)]
    assert [run(main()) for _ in range(3)] == [first] * 3
    assert garbage


@given(
    st.lists(st.floats(min_value=0, max_value=1e7, allow_nan=False), min_size=1, max_size=30),
    st.floats(min_value=0, max_value=1e12),
)
def test_sleepers_wake_in_order_of_their_deadlines(delays: list[float], start: float) -> None:
    async def main() -> list[float]:
        woken: list[float] = []

        async def sleeper(delay: float) -> None:
            await asyncio.sleep(delay)
            woken.append(delay)

        async with asyncio.TaskGroup() as group:
            for delay in delays:
                group.create_task(sleeper(delay))
        return woken

    woken = run(main(), start=start)
    assert sorted(woken) == sorted(delays)
    # Timers closer together than the clock can tell apart at this time may fire in either order.
    slack = max(1e-9, start * 1e-12)
    assert all(a <= b + slack for a, b in pairwise(woken))


def test_timers_of_one_moment_run_in_the_order_in_which_they_were_set() -> None:
    async def main() -> list[int]:
        seen: list[int] = []
        loop = asyncio.get_running_loop()
        timers = [loop.call_at(5.0, seen.append, number) for number in range(20)]
        timers[7].cancel()
        assert timers[7].cancelled() and not timers[8].cancelled()
        assert timers[8].when() == 5.0
        await asyncio.sleep(6)
        return seen

    assert run(main()) == [*range(7), *range(8, 20)]


def test_an_exception_in_a_callback_goes_to_the_handler_and_stops_nothing() -> None:
    async def main() -> list[str]:
        told: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: told.append(repr(context["exception"])))
        loop.call_later(1.0, int, "not a number")
        await asyncio.sleep(2)
        return told

    assert len(run(main())) == 1
