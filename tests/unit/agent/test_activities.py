"""Long activities on a Postgres that does as it is told: what is remembered of how they ended."""

from __future__ import annotations

import asyncio
import errno
import json
from dataclasses import replace
from typing import Any, Literal

import pytest
from unit.ha.views import answer, leading, poll, remote

from matriarch.ha.actions import (
    Action,
    ArchiveWal,
    Checkpoint,
    Clone,
    CreateLogicalSlots,
    Decision,
    HandOver,
    Promote,
    Rewind,
    SetSyncNames,
    StopPostgres,
    SyncSlots,
    WriteHistory,
)
from matriarch.ha.commands import Commands
from matriarch.ha.quiet import SYNC_S
from matriarch.ha.reasons import Reason
from matriarch.ha.settings import ClusterSettings, settings_from
from matriarch.ha.slots import PermanentSlot
from matriarch.ha.view import HistoryEntry, LockView, Memory, Poll, PostgresView, SyncView, Upstream, View
from matriarch.words.errors import NotRunning, ProgramFailed, QueryFailed
from matriarch.words.sync_names import NOBODY
from matriarch_agent import handover
from matriarch_agent.activities import carry_out
from matriarch_agent.execute import AFTER_FAILURE_S, execute
from matriarch_agent.ports import Archived

SOURCE = Upstream("demo-0", "10.0.0.0")


class Hand:
    """Every port of an agent that an activity touches: records what is done, and answers by `reply`."""

    def __init__(self, settings: ClusterSettings | None = None, view: View | None = None) -> None:
        self.did: list[str] = []
        self.memory = Memory()
        self.noted: dict[str, Any] = {}
        self.said: list[str] = []
        self.reply: dict[str, Any] = {}
        self.told: dict[str, dict[str, Any]] = {}
        """The keyword arguments of the last call, by name."""
        self.lock = LockView("demo-1", epoch=3)
        self.timeline = 1
        self.process: Literal["stopped", "running", "stopping"] = "stopped"
        self.renewed: tuple[float, ...] = (-1e9,)
        self._settings = settings or ClusterSettings()
        self._view = view

    # The agent itself and its parts are this one object.
    def __getattr__(self, name: str) -> Any:
        if name in ("postgres", "keeper", "store", "observer", "callbacks", "announcer", "me"):
            return Part(self, name)
        raise AttributeError(name)

    def settings(self) -> ClusterSettings:
        return self._settings

    def remember(self, **changes: Any) -> None:
        self.noted.update(changes)

    def log(self, event: str, **facts: Any) -> None:
        del event, facts

    def wall_iso(self) -> str:
        return "2026-11-26T00:00:00.000+00:00"

    def now(self) -> float:
        self.reply["now"] = self.reply.get("now", 100.0) + 0.3
        return float(self.reply["now"])

    async def poll_peers(self, skip: tuple[str, ...] = ()) -> Poll:
        del skip
        return self.reply.get("poll") or Poll((), 100.0)

    @property
    def view(self) -> View:
        return self._view or leading()


class Part:
    def __init__(self, hand: Hand, name: str) -> None:
        self._hand, self._name = hand, name

    def lock(self) -> LockView:
        return self._hand.lock

    def build(self) -> View:
        return self._hand.view

    def say(self, reason: str, message: str, *, warning: bool = False) -> None:
        del message, warning
        self._hand.said.append(reason)

    @property
    def name(self) -> str:
        return "demo-1"

    def __getattr__(self, name: str) -> Any:
        hand = self._hand
        if name == "renewed":
            return hand.renewed
        if name == "unanswered":
            return asyncio.Event()
        if self._name == "observer" and name == "postgres":
            return PostgresView(timeline=hand.timeline, process=hand.process)
        if (self._name, name) == ("callbacks", "stopped"):
            return lambda: hand.did.append("callbacks.stopped")
        if (self._name, name) in (("keeper", "rest"), ("callbacks", "serves")):
            return lambda *_, **__: None

        async def call(*arguments: Any, **more: Any) -> Any:
            hand.told[name] = more
            hand.did.append(f"{self._name}.{name}" + (f" {arguments[0]}" if name in ("release", "run_command") else ""))
            told = hand.reply.get(name)
            if isinstance(told, Exception):
                raise told
            return told() if callable(told) else told

        return call


async def act(hand: Hand, action: Action) -> None:
    agent: Any = hand
    await carry_out(agent, action)  # type: ignore[arg-type]


async def test_a_checkpoint_counts_only_for_the_promotion_that_asked_for_it() -> None:
    hand = Hand()
    await act(hand, Checkpoint())
    assert hand.noted == {"checkpointed": True}
    late = Hand()

    def promoted_again() -> None:
        late.timeline = 2

    late.reply["checkpoint"] = promoted_again
    await act(late, Checkpoint())
    assert late.noted == {}


@pytest.mark.parametrize(
    ("told", "failed"),
    [(remote("demo-0"), True), (NotRunning("gone"), False)],
    ids=["the source is well", "the source went away"],
)
async def test_data_is_given_up_only_when_the_sources_end_is_not_to_blame(told: Any, failed: bool) -> None:
    hand = Hand()
    hand.reply |= {"rewind": ProgramFailed("connection lost"), "ask_history": told}
    with pytest.raises(ProgramFailed):
        await act(hand, Rewind(SOURCE))
    assert hand.noted["rewind_failed"] is failed


@pytest.mark.parametrize("action", [Rewind(SOURCE), Clone(SOURCE)])
async def test_programs_are_told_of_a_stop_for_other_data_as_of_any_other(action: Action) -> None:
    """A replica's address stayed where it was for the hours of a new copy, since nobody was told."""
    stop = ["postgres.run_command ('leave',)", "postgres.stop", "callbacks.stopped", "keeper.disarm"]
    hand = Hand(settings_from({"postgresql": {"before_stop": "leave"}}))
    hand.reply["rewind"] = 0
    hand.process = "running"
    await act(hand, action)
    assert hand.did[:4] == stop
    again = Hand(settings_from({"postgresql": {"before_stop": "leave"}}))
    again.reply["rewind"] = 0
    await act(again, action)
    assert again.did[:2] == ["postgres.stop", "keeper.disarm"], "it was told already"


async def test_pre_promote_may_forbid_the_promotion() -> None:
    settings = settings_from({"postgresql": {"pre_promote": "/bin/check --now"}})
    hand = Hand(settings)
    hand.reply["run_command"] = ProgramFailed("status 1")
    with pytest.raises(ProgramFailed):
        await act(hand, Promote())
    assert hand.did == ["postgres.run_command ('/bin/check', '--now')", "keeper.release None"]
    assert "handover_done_at" in hand.noted, "it does not take the lock again at once"
    fine = Hand(settings)
    await act(fine, Promote())
    assert fine.did[-1] == "postgres.promote" and fine.said == ["Promoted"]


async def test_a_logical_slot_that_was_there_before_the_failover_is_announced() -> None:
    """Its consumer misses changes: nobody may learn that by chance."""
    feed = PermanentSlot("feed", "app", "pgoutput")
    for known, said in (((), []), (("feed",), ["SlotLost"])):
        hand = Hand()
        hand.memory = Memory(slots_of_predecessor=known)
        await act(hand, CreateLogicalSlots((feed,)))
        assert hand.said == said


async def test_a_logical_slot_that_cannot_be_made_keeps_no_other_from_it() -> None:
    """The first one's database was not there, and nobody made the second one, without end."""
    feeds = (PermanentSlot("early", "later", "pgoutput"), PermanentSlot("feed", "app", "pgoutput"))
    answers = iter([NotRunning('database "later" does not exist'), None])

    def made() -> None:
        problem = next(answers)
        if problem is not None:
            raise problem

    hand = Hand()
    hand.memory = Memory(slots_of_predecessor=("early", "feed"))
    hand.reply["create_logical_slot"] = made
    with pytest.raises(QueryFailed, match='early: database "later"'):
        await act(hand, CreateLogicalSlots(feeds))
    assert hand.did == ["postgres.create_logical_slot"] * 2 and hand.said == ["SlotLost"]


@pytest.mark.parametrize(
    ("sync", "mode", "heard", "released"),
    [
        (SyncView("demo-1", ("demo-0",), 0, "9"), "on", ("demo-0", "demo-2"), True),
        (SyncView("demo-1", ("demo-0", "demo-2"), 1, "9"), "quorum", ("demo-0", "demo-2"), True),
        (SyncView("demo-1", ("demo-0", "demo-2"), 1, "9"), "quorum", ("demo-2",), False),
        (SyncView(), "off", ("demo-0", "demo-2"), False),
    ],
    ids=["listed standbys have everything", "a quorum has it", "whoever is silent may have it alone", "asynchronous"],
)
async def test_a_primary_that_had_to_be_killed_hands_over_where_nothing_can_be_missing(
    sync: SyncView, mode: str, heard: tuple[str, ...], released: bool
) -> None:
    settings = ClusterSettings(synchronous_mode=mode, primary_stop_timeout=5)
    view = replace(leading(), sync=sync, settings=settings)
    hand = Hand(settings, view)
    hand.reply["poll"] = poll(*(answer(name, lsn=900) for name in heard))
    await act(hand, HandOver(None, -1e9))
    assert ("keeper.release None" in hand.did) is released


@pytest.mark.parametrize(("most", "kept"), [(0, [1, 2, 3]), (2, [2, 3]), (9, [1, 2, 3])])
async def test_the_history_keeps_as_many_timelines_as_asked_for(most: int, kept: list[int]) -> None:
    settings = ClusterSettings(max_timelines_history=most)
    view = replace(leading(), settings=settings)
    hand: Any = Hand(settings, view)
    hand.reply["local_history"] = tuple(HistoryEntry(number, number * 100, "why") for number in (1, 2, 3))
    await execute(hand, view, Decision((WriteHistory(4),), Reason.LEADING))
    rows = json.loads(hand.told["write_config"]["history"])
    assert [row[0] for row in rows] == kept and rows[-1][4] == "demo-1"


async def test_a_handover_writes_dirty_pages_while_writes_go_on_and_lets_go_last() -> None:
    """A checkpoint comes before the stop, so that little is left to write while nobody is served."""
    hand = Hand(view=leading())
    hand.reply["poll"] = poll(answer("demo-0"), answer("demo-2"))
    await act(hand, HandOver(None, -1e9))
    order = [did for did in hand.did if did.startswith(("postgres.", "keeper.release"))]
    assert order == ["postgres.checkpoint", "postgres.stop", "keeper.release None"]


async def test_a_handover_waits_for_a_moment_in_which_kube_proxy_applies_it_at_once() -> None:
    hand = Hand(view=leading())
    hand.reply["poll"] = poll(answer("demo-0"), answer("demo-2"))
    loop = asyncio.get_running_loop()
    began = loop.time()
    hand.now = lambda: 100.0 + loop.time() - began  # type: ignore[method-assign]
    hand.renewed = (90.0, 100.2 - SYNC_S)
    await act(hand, HandOver(None, 95.0))
    assert hand.did[0] == "postgres.checkpoint"
    assert "postgres.stop" in hand.did and loop.time() - began >= 0.2


async def test_a_handover_goes_on_though_renewals_come_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "LONGEST_QUIET_S", 0.2)
    hand = Hand(view=leading())
    hand.reply["poll"] = poll(answer("demo-0"), answer("demo-2"))
    hand.renewed = (1e9,)
    await act(hand, HandOver(None, -1e9))
    assert "postgres.stop" in hand.did


async def test_what_the_archive_does_not_take_is_told_once() -> None:
    for known, said in (("", ["NotArchived"]), ("status 1", [])):
        hand = Hand()
        hand.memory = Memory(archive_complaint=known)
        hand.reply["archive_wal"] = Archived(1, 2, "status 1")
        await act(hand, ArchiveWal())
        assert hand.said == said
        assert hand.noted["archive_complaint"] == "status 1" and hand.noted["archive_tried_at"] > 0
    hand = Hand()
    hand.reply["archive_wal"] = Archived(3, 0)
    await act(hand, ArchiveWal(aside=True))
    assert hand.said == [] and hand.noted["archive_complaint"] == ""


async def test_slots_that_cannot_be_brought_in_order_are_told_when_that_changes() -> None:
    hand: Any = Hand()
    hand.slots_complaint = ""
    told: list[Any] = []
    hand.log = lambda event, **facts: told.append(facts["error"])
    order = Decision((SyncSlots(("demo_0",)),), Reason.FOLLOWING)
    for problem in (QueryFailed("no room"), QueryFailed("no room"), NotRunning("gone"), None, NotRunning("gone")):
        hand.reply["sync_slots"] = problem
        await execute(hand, leading(), order)
    assert told == ["no room", "gone", "gone"]


async def test_a_write_that_the_system_refuses_ends_the_decision_and_not_the_agent() -> None:
    """The primary's volume is full and its synchronous standby lost: the agent has to live to change that."""
    hand: Any = Hand()
    hand.reply["set_sync_names"] = OSError(errno.ENOSPC, "No space left on device", "/volume/pgdata/postgresql.conf")
    told: list[dict[str, Any]] = []
    hand.log = lambda event, **facts: told.append({"event": event, **facts})
    pause = await execute(hand, leading(), Decision((SetSyncNames(NOBODY), WriteHistory(4)), Reason.CHANGING_SYNC))
    assert pause >= AFTER_FAILURE_S and hand.did == ["postgres.set_sync_names"]
    assert [line["error"] for line in told] == ["/volume/pgdata/postgresql.conf: No space left on device"]


async def test_a_shutdown_under_way_is_only_seen_to_its_end() -> None:
    """What is to run before a stop would come too late."""
    settings = ClusterSettings(commands=Commands(before_stop=("drain",)), primary_stop_timeout=5)
    for process, before in (("running", ["postgres.run_command ('drain',)"]), ("stopping", [])):
        hand = Hand(settings)
        hand.process = process
        await act(hand, StopPostgres())
        assert hand.did == [*before, "postgres.stop", "callbacks.stopped", "keeper.disarm"]
        assert hand.told["stop"] == {"fast": True, "within": 5}
