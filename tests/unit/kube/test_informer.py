from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matriarch.kube.api import ENDPOINTS, Object
from matriarch.kube.informer import Informer, Key
from matriarch.testing.fake_kube import FakeKubeServer
from matriarch.testing.virtual_time import run
from matriarch.words.errors import MatriarchError, Unavailable

NAMESPACE = "ns"
WRITER = "writer"


class Watched:
    """A fake server, an informer on it, and what the informer told."""

    def __init__(self, seed: int = 0, **options: Any) -> None:
        self.server = FakeKubeServer(random.Random(seed), guard=True)
        self.writer = self.server.client(WRITER)
        self.faults = self.server.faults_for("reader")
        self.told: list[tuple[str | None, str | None]] = []
        self.replayed: dict[Key, Object] = {}
        clock = asyncio.get_running_loop().time
        self.informer = Informer(
            self.server.client("reader"), ENDPOINTS, NAMESPACE, on_change=self._on_change, now=clock, **options
        )

    def _on_change(self, old: Object | None, new: Object | None) -> None:
        self.told.append((_leader(old), _leader(new)))
        item = new or old
        assert item is not None
        key = (NAMESPACE, item["metadata"]["name"])
        assert self.replayed.get(key) == old
        if new is None:
            del self.replayed[key]
        else:
            self.replayed[key] = new

    async def write(self, name: str = "demo", leader: str = "a") -> Object:
        patch = {"metadata": {"name": name, "annotations": {"leader": leader}}}
        try:
            return await self.writer.patch(ENDPOINTS, NAMESPACE, name, patch)
        except MatriarchError:
            return await self.writer.create(ENDPOINTS, NAMESPACE, patch)

    async def settle(self) -> None:
        await self.informer.synced.wait()
        await asyncio.sleep(0.001)

    def leader(self, name: str = "demo") -> str | None:
        return _leader(self.informer.cache.get((NAMESPACE, name)))

    def relists(self) -> int:
        return self.server.calls["reader", "list", "endpoints"]


def _leader(item: Object | None) -> str | None:
    return item["metadata"]["annotations"]["leader"] if item else None


def watched(test: Callable[[Watched], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def main() -> None:
        world = Watched(**options)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(world.informer.run())
            await test(world)
            assert not task.done()
            task.cancel()

    run(main())


def test_it_follows_changes() -> None:
    async def test(world: Watched) -> None:
        await world.write(leader="a")
        await world.settle()
        assert world.leader() == "a"
        await world.write(leader="b")
        await asyncio.sleep(0.001)
        assert world.leader() == "b"
        await world.writer.delete(ENDPOINTS, NAMESPACE, "demo")
        await asyncio.sleep(0.001)
        assert not world.informer.cache
        assert world.told == [(None, "a"), ("a", "b"), ("b", None)]
        assert world.relists() == 1

    watched(test)


def test_what_vanished_unseen_is_told() -> None:
    async def test(world: Watched) -> None:
        await world.write("kept")
        await world.write("lost")
        await world.settle()
        world.faults.refuse = True
        world.server.drop_streams("reader")
        await world.writer.delete(ENDPOINTS, NAMESPACE, "lost")
        world.server.compact()
        await asyncio.sleep(3)
        assert world.leader("lost") == "a"
        assert isinstance(world.informer.failure, Unavailable)
        world.faults.refuse = False
        await asyncio.sleep(2)
        assert list(world.informer.cache) == [(NAMESPACE, "kept")]
        assert world.told[-1] == ("a", None)
        assert world.informer.failure is None

    watched(test)


def test_an_object_made_again_unseen_is_gone_and_added() -> None:
    async def test(world: Watched) -> None:
        await world.write(leader="old")
        await world.settle()
        world.faults.silent_watch = True
        await world.writer.delete(ENDPOINTS, NAMESPACE, "demo")
        await world.write(leader="new")
        world.informer.refresh()
        await asyncio.sleep(0.001)
        assert world.told == [(None, "old"), ("old", None), (None, "new")]

    watched(test)


def test_a_clean_end_is_resumed_without_a_list() -> None:
    async def test(world: Watched) -> None:
        await world.settle()
        for number in range(5):
            await world.write(leader=str(number))
            await asyncio.sleep(1)
            world.server.drop_streams("reader", cleanly=True)
            await asyncio.sleep(1)
        assert world.leader() == "4"
        assert world.relists() == 1

    watched(test)


def test_a_silent_stream_is_given_up() -> None:
    async def test(world: Watched) -> None:
        await world.write(leader="a")
        await world.settle()
        last_sign = world.informer.last_contact
        world.faults.silent_watch = True
        await world.write(leader="b")
        await asyncio.sleep(4.9)
        assert (world.leader(), world.informer.last_contact) == ("a", last_sign)
        await asyncio.sleep(0.3)
        assert world.leader() == "b"

    watched(test, idle_timeout=5.0)


def test_bookmarks_keep_a_quiet_stream_alive() -> None:
    async def test(world: Watched) -> None:
        await world.settle()
        await asyncio.sleep(3600)
        assert world.relists() == 1
        assert world.server.calls["reader", "watch", "endpoints"] == 1
        assert asyncio.get_running_loop().time() - world.informer.last_contact <= 60

    watched(test)


def test_what_may_have_come_and_gone_unseen_is_told_by_followed_since() -> None:
    """A stream that breaks is no gap; a longer time without a list is."""

    async def test(world: Watched) -> None:
        await world.settle()
        first = world.informer.followed_since
        world.server.drop_streams("reader")
        await asyncio.sleep(2)
        assert (world.relists(), world.informer.followed_since) == (2, first)
        world.faults.refuse = True
        world.server.drop_streams("reader")
        await asyncio.sleep(5)
        assert world.informer.followed_since == first
        await asyncio.sleep(10)
        assert world.informer.followed_since == asyncio.get_running_loop().time()
        world.faults.refuse = False
        await asyncio.sleep(2)
        assert 17 < world.informer.followed_since < 19

    watched(test)


def test_a_stream_that_brought_nothing_for_long_before_it_broke_is_a_gap() -> None:
    """Nobody knows how long it had been dead."""

    async def test(world: Watched) -> None:
        await world.settle()
        await asyncio.sleep(30)
        world.server.drop_streams("reader")
        await asyncio.sleep(2)
        assert world.relists() == 2
        assert 30 < world.informer.followed_since < 32

    watched(test)


def test_failures_are_spaced_by_the_backoff() -> None:
    async def test(world: Watched) -> None:
        world.faults.refuse = True
        await asyncio.sleep(0.1 + 0.2 + 0.4 + 0.8 + 1 + 1 + 0.5)
        assert world.relists() == 7
        assert not world.informer.synced.is_set()

    watched(test)


def test_streams_that_break_soon_are_spaced_by_the_backoff_whatever_they_bring() -> None:
    """After a list that is old, each stream brings something at once, and that it breaks is a failure all the same. One
    that lasts for a second is forgiven what came before it: the first attempt after its end comes at once."""

    async def test(world: Watched) -> None:
        await world.settle()
        for number in range(40):
            await world.write(leader=str(number))
        await asyncio.sleep(2.0)
        world.faults.stale_s, world.faults.drop_watch = 3600.0, 0.2
        told, relists = len(world.told), world.relists()
        world.server.drop_streams("reader")
        await asyncio.sleep(0.1 + 0.2 + 0.4 + 0.8 + 1 + 1 + 0.5)
        assert len(world.told) > told + 6, "they brought something"
        assert world.relists() == relists + 6
        world.faults.stale_s, world.faults.drop_watch = 0.0, 0.0
        await asyncio.sleep(2.0)
        await world.write(leader="last")
        await asyncio.sleep(0.1)
        assert world.leader() == "last"
        relists = world.relists()
        world.server.drop_streams("reader")
        await asyncio.sleep(0.15)
        assert world.relists() == relists + 1

    watched(test)


def test_being_throttled_is_obeyed() -> None:
    async def test(world: Watched) -> None:
        world.faults.throttled = 1.0
        await asyncio.sleep(10.5)
        assert world.relists() <= 11

    watched(test, backoff=(0.01,))


def test_an_own_write_is_there_at_once() -> None:
    async def test(world: Watched) -> None:
        await world.write(leader="a")
        await world.settle()
        world.faults.watch_lag = (5.0, 5.0)
        world.informer.put(await world.write(leader="b"))
        assert world.leader() == "b"
        older = await world.write(leader="c")
        world.informer.put(await world.write(leader="d"))
        world.informer.put(older)
        assert world.leader() == "d"
        await asyncio.sleep(20)
        assert world.told == [(None, "a"), ("a", "b"), ("b", "d")]

    watched(test)


def test_an_own_write_does_not_bring_back_what_was_deleted_after_it() -> None:
    async def test(world: Watched) -> None:
        await world.settle()
        written = await world.write()
        await world.writer.delete(ENDPOINTS, NAMESPACE, "demo")
        await asyncio.sleep(0.001)
        world.informer.put(written)
        assert not world.informer.cache

    watched(test)


def test_refresh_lists_now() -> None:
    async def test(world: Watched) -> None:
        await world.write(leader="a")
        await world.settle()
        world.faults.silent_watch = True
        await world.write(leader="b")
        await asyncio.sleep(0.001)
        assert world.leader() == "a"
        world.informer.refresh()
        world.informer.refresh()
        await asyncio.sleep(0.001)
        assert world.leader() == "b"

    watched(test)


def test_a_server_that_is_stale_itself_is_not_asked_again_and_again() -> None:
    async def test(world: Watched) -> None:
        await world.settle()
        before = world.relists()
        for _ in range(100):
            world.informer.refresh()
            await asyncio.sleep(0.02)
        assert 3 <= world.relists() - before <= 5

    watched(test)


def test_versions_that_run_backwards_replace_everything() -> None:
    async def test(world: Watched) -> None:
        for number in range(10):
            await world.write(leader=str(number))
        await world.settle()
        world.server.store.version = 50
        store_table = world.server.store.table(ENDPOINTS)
        store_table.history.clear()
        await world.writer.delete(ENDPOINTS, NAMESPACE, "demo")
        await world.write(leader="restored")
        world.informer.refresh()
        await asyncio.sleep(0.001)
        assert world.leader() == "restored"

    watched(test)


@pytest.mark.parametrize("fault", ["conflict", "forbidden", "server_error", "overloaded", "gone", "drop_watch"])
def test_no_answer_of_the_server_ends_it(fault: str) -> None:
    async def test(world: Watched) -> None:
        setattr(world.faults, fault, 1.0)
        await world.write(leader="a")
        await asyncio.sleep(30)
        setattr(world.faults, fault, 0.0)
        await world.write(leader="b")
        await asyncio.sleep(3)
        assert world.leader() == "b"

    watched(test)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "delete", "compact", "drop", "end", "refresh", "sleep"]),
        st.sampled_from(["x", "y", "z"]),
    ),
    max_size=40,
)


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32), steps=STEPS)
def test_after_the_faults_the_copy_is_exact(seed: int, steps: list[tuple[str, str]]) -> None:
    """Whatever happened: the cache equals the server's state, and replaying what was told gives the same."""

    async def test(world: Watched) -> None:
        rng = random.Random(seed)
        faults = world.faults
        faults.latency, faults.watch_lag = (0.0, 0.3), (0.0, 2.0)
        faults.drop_watch, faults.gone, faults.overloaded, faults.lost_reply = 0.1, 0.1, 0.1, 0.1
        for number, (step, name) in enumerate(steps):
            match step:
                case "write":
                    written = await world.write(name, str(number))
                    if rng.random() < 0.3:
                        world.informer.put(written)
                case "delete":
                    if (NAMESPACE, name) in world.server.store.table(ENDPOINTS).objects:
                        await world.writer.delete(ENDPOINTS, NAMESPACE, name)
                case "compact":
                    world.server.compact()
                case "drop" | "end":
                    world.server.drop_streams("reader", cleanly=step == "end")
                case "refresh":
                    world.informer.refresh()
                case _:
                    await asyncio.sleep(rng.random() * 3)
        faults.clear()
        await asyncio.sleep(20)
        assert dict(world.informer.cache) == world.server.store.table(ENDPOINTS).objects
        assert world.replayed == world.informer.cache

    watched(test, seed=seed)
