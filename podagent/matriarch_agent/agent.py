"""The agent: observe, decide, execute, again. Everything it knows of the outside comes through ports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from matriarch.ha.actions import (
    ArchiveWal,
    Clone,
    CreateLogicalSlots,
    Long,
    Restart,
    Rewind,
    StartPrimary,
    StartReplica,
)
from matriarch.ha.commands import Command
from matriarch.ha.decide import decide
from matriarch.ha.documents import Facts, patroni_document, status
from matriarch.ha.failsafe import Verdict, judge_failsafe
from matriarch.ha.records import Renewal
from matriarch.ha.rules import slots, takeover
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import Failsafe, Me, MemberView, Memory, PeerAnswer, Poll, View
from matriarch.kube.api import Kube
from matriarch.words.errors import MatriarchError
from matriarch.words.facts import with_changes
from matriarch_agent.activities import carry_out
from matriarch_agent.announce import Announcer
from matriarch_agent.callbacks import WITHIN_S as CALLBACK_WITHIN_S
from matriarch_agent.callbacks import Callbacks
from matriarch_agent.data_changes import pause_after_copy
from matriarch_agent.execute import execute
from matriarch_agent.jobs import PAUSE_AFTER_FAILURE_S, Jobs
from matriarch_agent.journal import Journal, Log, iso
from matriarch_agent.keeper import Keeper
from matriarch_agent.observe import Observer
from matriarch_agent.ports import FailsafeClaim, Init, Now, Peers, Postgres
from matriarch_agent.publish import Publisher
from matriarch_agent.store import ClusterStore

POLL_TIMEOUT_S = 1.0
"""A peer that does not answer within this time counts as unreachable in a race."""
FAILSAFE_TIMEOUT_S = 1.5
SETTLE_CALLBACKS_S = 5.0
"""Seconds that a callback has left when the agent leaves."""
SETTLE_S = 0.01
"""Least time between two looks: a wake-up storm must not starve everything else."""


def _silent(event: str, **facts: Any) -> None:
    del event, facts


class Agent:
    """One member's agent."""

    def __init__(
        self,
        me: Me,
        namespace: str,
        kube: Kube,
        lock_kube: Kube,
        postgres: Postgres,
        init: Init,
        peers: Peers,
        now: Now,
        wall: Callable[[], float],
        log: Log = _silent,
    ) -> None:
        self.me, self.postgres, self.init, self.peers = me, postgres, init, peers
        self.now, self.wall, self.log = now, wall, log
        self._tagged = me
        self._woken = False
        self._stirred: asyncio.Future[None] | None = None
        self._settling: asyncio.TimerHandle | None = None
        self.store = ClusterStore(kube, lock_kube, me, namespace, now, self.wake)
        self.keeper = Keeper(self.store, init, now, self._renewal, self.settings, self.wake, log)
        self.keeper.bound_by_claim = self._bound_by_claim
        self.turned_at = now()
        """When the loop last came on."""
        self.keeper.turned_at = lambda: self.turned_at
        self.store.heeds_renewals = self._heeds_renewals
        self._listens = asyncio.Event()
        self.jobs = Jobs(self._carry_out, self._failed, now, self.wake, log)
        self.announcer = Announcer(kube, me, namespace, log, self.jobs)
        self.publisher = Publisher(self.store, me, now, self.wake, log, self.jobs)
        self.journal = Journal(log)
        self.callbacks = Callbacks(self._call_back, self.settings, me.cluster, log)
        self.memory = Memory(started_at=now())
        self.failsafe = Failsafe()
        self.slots_asked_at = -1e9
        self.slots_complaint = ""
        self.failsafe_counts: dict[str, int] = {}
        self.poll: Poll | None = None
        self.observer = Observer(self)
        self._restarted = asyncio.Event()

    # --- life -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live until the pod is told to end and Postgres has ended, or until cancelled (Postgres then lives on)."""
        self.keeper.adopt(await self.init.lease())
        self.remember(own_stop=await self.init.untouched())
        async with asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(self.store.run(), name="store"),
                group.create_task(self.keeper.run(), name="keeper"),
                group.create_task(self._watch_postgres(), name="watch-postgres"),
                group.create_task(self._watch_leader(), name="watch-leader"),
            ]
            try:
                await self._loop()
            finally:
                self.jobs.cancel_all()
                self.callbacks.end()
                for task in helpers:
                    task.cancel()

    def wake(self) -> None:
        """Look again now."""
        self._woken = True
        self._stir()

    def terminate(self) -> None:
        """SIGTERM: hand over, stop Postgres, then return from `run`."""
        self.remember(terminating=True)
        self.wake()

    async def _loop(self) -> None:
        while True:
            self._woken = False
            view = await self.look()
            self.turned_at = self.now()
            if view.memory.terminating and self._may_leave(view):
                await self.callbacks.settle(SETTLE_CALLBACKS_S)
                return
            if not self._knows_enough(view):
                await self._sleep(0.2)
                continue
            decision = decide(view)
            self.journal.record(decision, self.wall())
            self.keeper.set_lead(decision.lead)
            self._listen(view)
            wait = await execute(self, view, decision)
            if view.lock_is_mine or self.jobs.activity is None:
                wait = min(wait, self.publisher.publish(view))
            await self._sleep(max(SETTLE_S, wait))

    def _may_leave(self, view: View) -> bool:
        return view.postgres.process == "stopped" and self.jobs.activity is None

    def _knows_enough(self, view: View) -> bool:
        """Before the first listings only a running primary inside its lease has anything to decide (rule 7), and who is
        told to end: its Postgres stops."""
        return self.store.synced or view.holds_lease or view.postgres.writable or view.memory.terminating

    async def _sleep(self, seconds: float) -> None:
        """Until there is something to see, and then a moment more, for all that comes with it."""
        loop = asyncio.get_running_loop()
        alarm = loop.call_later(0.0 if self._woken else seconds, self._stir)
        self._stirred = loop.create_future()
        try:
            await self._stirred
        finally:
            alarm.cancel()
            if self._settling is not None:
                self._settling.cancel()
            self._stirred = self._settling = None

    def _stir(self) -> None:
        """End the sleep in a moment."""
        if self._stirred is not None and self._settling is None:
            self._settling = asyncio.get_running_loop().call_later(SETTLE_S, self._get_up)

    def _get_up(self) -> None:
        if self._stirred is not None and not self._stirred.done():
            self._stirred.set_result(None)

    async def _watch_postgres(self) -> None:
        while True:
            await self.postgres.wait_for_change()
            self.wake()

    def _listen(self, view: View) -> None:
        """A member that watches the leader closely is woken when the WAL stream falls silent."""
        if takeover.watches_closely(view):
            self._listens.set()
        else:
            self._listens.clear()

    async def _watch_leader(self) -> None:
        while True:
            await self._listens.wait()
            await self.postgres.wait_for_silence(takeover.ASK_AFTER_S)
            self.wake()

    def _heeds_renewals(self) -> bool:
        """Whether it matters that the leader has renewed its lock once more, besides that it will be overdue later."""
        view = self.view
        if view is None or view.lock.leader is None or not view.api_ok:
            return True
        return view.promise_binds or view.may_have_promised or view.claim_binds

    # --- observe --------------------------------------------------------------------------------------------------

    @property
    def view(self) -> View | None:
        """The last view; None before the first look."""
        return self.observer.view

    async def look(self) -> View:
        """Observe everything."""
        return await self.observer.look()

    async def refresh(self) -> None:
        """Observe Postgres now: a peer that races must not be told a position of some seconds ago."""
        await self.observer.refresh()

    def facts(self) -> Facts:
        """This moment, for documents."""
        return Facts(
            me=self.identity(),
            now=self.now(),
            wall=self.wall(),
            view=self.view,
            lease_until=self.keeper.lease_until,
            looked_at=self.observer.looked_at,
            api_seen_at=self.store.contact,
            statuses=self.store.statuses(),
        )

    async def answer_status(self) -> dict[str, Any]:
        """`GET /patroni`, observed afresh."""
        asked_at = self.now()
        await self.refresh()
        return patroni_document(self.facts(), asked_at)

    def settings(self) -> ClusterSettings:
        """The cluster settings as last seen."""
        return self.store.settings()

    def identity(self) -> Me:
        """Who this member is, with the tags that the cluster settings give it.

        A replica that is about to stop is no synchronous standby any more: the primary makes do without it first.
        """
        tags = self.settings().member_tags.get(self.me.name, self.me.tags)
        if self.memory.leaving_since is not None:
            tags = replace(tags, nosync=True, sync_priority=0)
        if self._tagged.tags is not tags and self._tagged.tags != tags:
            self._tagged = replace(self.me, tags=tags)
        return self._tagged

    # --- execute --------------------------------------------------------------------------------------------------

    def remember(self, **changes: Any) -> None:
        """Change this member's memory."""
        memory = self.memory
        for name, value in changes.items():
            if getattr(memory, name) != value:
                self.memory = with_changes(memory, **changes)
                return

    async def restart(self, within: float | None = None) -> None:
        """Ask for a restart of Postgres in its role, and return when it has ended."""
        self._restarted.clear()
        self.remember(restart=True, restart_within=within)
        self.wake()
        await self._restarted.wait()

    async def fence(self, *, unusable: bool = False) -> None:
        """Cancel what is under way and kill Postgres: nothing of it survives (rule 2). `unusable`: it had the right to
        live, but was of no use to anybody."""
        # First of all: on a disk that hangs nothing dies in time, and the lock must then be free for others.
        self.keeper.set_lead(False)
        if unusable:
            self.remember(killed_unusable_at=self.now(), own_stop=True)
            self.announcer.say("Unusable", f"Postgres was killed: {self.observer.postgres.unusable_why}", warning=True)
        writable = self.observer.postgres.in_recovery is False and self.observer.postgres.running
        ended = await self.jobs.stop_activity(within=0.2)
        await self.postgres.kill()
        if not ended:
            # It may have started Postgres again meanwhile.
            await self.jobs.stop_activity(within=1.0)
            await self.postgres.kill()
        await self.keeper.disarm()
        self.remember(followed=None, followed_epoch=None, own_stop=True)
        self.callbacks.stopped()
        if writable and not unusable:
            words = "Postgres was killed: this member has no lease to be primary any more"
            self.announcer.say("Fenced", words, warning=True)

    async def _call_back(self, command: Command) -> None:
        await self.postgres.run_command(command, within=CALLBACK_WITHIN_S)

    async def _carry_out(self, action: Long) -> None:
        try:
            await carry_out(self, action)
        finally:
            if isinstance(action, Restart | StartPrimary | StartReplica):
                self._restarted.set()

    def _failed(self, action: Long, error: MatriarchError) -> float:
        """Remember what a failed activity tells the next decision. Returns the seconds before it may be tried again."""
        if isinstance(action, ArchiveWal):
            self.remember(archive_tried_at=self.now(), archive_complaint=str(error))
        elif isinstance(action, Rewind):
            self.remember(remote=None)
        elif isinstance(action, StartPrimary | StartReplica):
            self.remember(start_failed_at=self.now())
        elif isinstance(action, Clone):
            self.remember(clones_failed=self.memory.clones_failed + 1, clone_complaint=str(error))
        elif isinstance(action, CreateLogicalSlots):
            self.remember(logical_slots_not_before=self.now() + slots.LOGICAL_AGAIN_S)
        return pause_after_copy(self.memory.clones_failed) if isinstance(action, Clone) else PAUSE_AFTER_FAILURE_S

    async def poll_peers(self, skip: tuple[str, ...] = ()) -> Poll:
        """Ask every other member at once; those to skip count as not reachable."""
        others, began = [member for member in self.store.members() if member.name != self.me.name], self.now()
        answers = await asyncio.gather(*(self.ask_peer(other) for other in others if other.name not in skip))
        silent = [PeerAnswer(other.name, reachable=False) for other in others if other.name in skip]
        return Poll((*answers, *silent), self.now(), began)

    async def ask_peer(self, member: MemberView, timeout: float = POLL_TIMEOUT_S) -> PeerAnswer:
        """Ask one member for its state, within `timeout` seconds. Where it may be at two places the first word of its
        own counts: both are the present pod's, one before and one after its machine was given another address, and
        whoever else is at the former one by now tells another name."""
        urls = status.asked_at(self.me, member)
        asked = [asyncio.ensure_future(self.peers.ask(member.name, url, timeout=timeout)) for url in urls]
        try:
            for coming in asyncio.as_completed(asked):
                answer = await coming
                if answer.reachable:
                    return answer
        finally:
            for one in asked:
                one.cancel()
        # That nobody listens says that it is gone only when nobody does so at any place where it may be.
        refused = bool(asked) and all(one.result().refused for one in asked)
        return PeerAnswer(member.name, reachable=False, refused=refused)

    async def confirm_failsafe(self, view: View) -> None:
        """Ask every member of the failsafe topology; extend the lease when all accept."""
        sent = self.now()
        ttl, url, conn = self.keeper.claimable_ttl(), status.api_url(self.me), status.conn_url(self.me)
        timeline = view.postgres.timeline if view.postgres.in_recovery is False else None
        claim = FailsafeClaim(self.me.name, url, conn, slots.positions(view), ttl, timeline)
        members = self.keeper.topology(view.lock.failsafe or {})
        others = [url for name, url in members.items() if name != self.me.name]
        accepted = await asyncio.gather(*(self.peers.claim(url, claim, timeout=FAILSAFE_TIMEOUT_S) for url in others))
        if all(accepted):
            await self.keeper.extend(sent, ttl)
            self.failsafe = replace(self.failsafe, confirmed_at=sent)
        outcome = "accepted" if all(accepted) else "refused"
        self.failsafe_counts[outcome] = self.failsafe_counts.get(outcome, 0) + 1
        self.log("failsafe round", accepted=sum(accepted), asked=len(others))

    def accept_failsafe(self, claim: FailsafeClaim) -> Verdict:
        """Answer another member's `POST /failsafe`."""
        verdict = judge_failsafe(self.observer.build(), claim, self.now(), acquiring=self.keeper.acquiring)
        if verdict.accepted:
            url, conn = claim.api_url, claim.conn_url
            self.failsafe = Failsafe(None, claim.name, url, conn, self.now(), claim.slots, claim.ttl)
        return verdict

    def _bound_by_claim(self) -> bool:
        """This member agreed that another one goes on as primary, and its word still binds."""
        return self.observer.build().claim_binds

    # --- records --------------------------------------------------------------------------------------------------

    def _renewal(self) -> Renewal:
        standby = self.settings().standby_cluster is not None
        leads = self.observer.postgres.in_recovery is False or standby
        fresh = leads and self.now() - self.observer.postgres.observed_at < 10
        topology = None
        if self.settings().failsafe_mode:
            topology = {member.name: member.api_url for member in self.store.members() if member.api_url}
            topology[self.me.name] = status.api_url(self.me)
        if not fresh:
            return self.store.renewal(None, topology)
        view = self.observer.build()
        return self.store.renewal(view.postgres.lsn, topology, slots.positions(view), slots.retained(view))

    def wall_iso(self) -> str:
        """The present moment for people."""
        return iso(self.wall())
