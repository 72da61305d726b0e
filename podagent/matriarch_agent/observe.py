"""Observing: puts the view together, and notes what only time tells (who fell silent, what is missing since when)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matriarch.ha.documents import scheduled_restart_from, status_of
from matriarch.ha.lease import OVERDUE_S
from matriarch.ha.rules import slots, takeover, upstream
from matriarch.ha.scheduled import LEAD_S
from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import LockView, MemberView, PostgresView, PrimarySeen, View
from matriarch.words.errors import MatriarchError

if TYPE_CHECKING:
    from matriarch_agent.agent import Agent

STOOD_STILL_S = 10.0
"""Seconds without a look after which this agent, or its whole machine, has stood still, and pods may have come and gone
unseen."""
LISTEN_TIMEOUT_S = 0.5


class Observer:
    """One member's eyes. `view` is the last view, `postgres` the last word of the local Postgres, `looked_at` when the
    loop last looked."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self.view: View | None = None
        self.postgres = PostgresView()
        self.looked_at = agent.now()
        self._probed_at = -1e9
        self._asking = False
        self._holder: str | None = None
        self._asked: tuple[str | None, str | None] | None = None
        self._listens_to: tuple[str | None, int] = (None, 0)
        self._recalled = False
        self._slots_noted_at = self._went_on_at = -1e9

    async def look(self) -> View:
        """Observe everything and keep the view for those who ask over REST."""
        await self._check_lock_is_fresh()
        before, self.postgres = self.postgres, await self._agent.postgres.observe()
        if self.postgres.running and self.postgres.in_recovery is not None and self._agent.jobs.activity is None:
            self._agent.callbacks.was("replica" if self.postgres.in_recovery else "primary")
        self._note_primary()
        self._note_full_disk(before)
        self._listen()
        self._recall()
        self._note_own_stop()
        self.looked_at = self._agent.now()
        self.view = self.build()
        return self.view

    async def refresh(self) -> None:
        """Observe Postgres now: a peer that races must not be told a position of some seconds ago."""
        self.postgres = await self._agent.postgres.observe()
        self.view = self.build()

    def build(self) -> View:
        """The view from what was last observed; no I/O."""
        agent, store = self._agent, self._agent.store
        now, wall, lock, members, settings = agent.now(), agent.wall(), store.lock(), store.members(), store.settings()
        self._note_lock(lock, now)
        self._note_reinitialize(lock)
        self._note_leaving(now, wall)
        self._note_capable(lock, members)
        self._note_starvation(now)
        self._note_request(now)
        self._note_slots(members, settings, now)
        if agent.memory.last_label_change != agent.publisher.last_label_change:
            agent.remember(last_label_change=agent.publisher.last_label_change)
        return View(
            now=now,
            wall=wall,
            me=agent.identity(),
            settings=settings,
            lock=lock,
            config=store.config(),
            sync=store.sync(),
            request=store.request(),
            members=members,
            postgres=self.postgres,
            lease_until=agent.keeper.lease_until,
            api_ok=self._api_ok(now),
            activity=agent.jobs.activity,
            poll=agent.poll,
            failsafe=agent.failsafe,
            memory=agent.memory,
            listed=store.synced,
        )

    def _note_lock(self, lock: LockView, now: float) -> None:
        """Since when the lock is free, when it moved, and what no longer counts once somebody else has led."""
        agent, memory, mine = self._agent, self._agent.memory, self._agent.me.name
        leader, holder = lock.leader, lock.holder
        if leader is None and holder != mine:
            # Before the first listing nobody knows whether it is free.
            if memory.unlocked_since is None and agent.store.synced:
                agent.remember(unlocked_since=now)
        elif memory.unlocked_since is not None:
            agent.remember(unlocked_since=None)
        if memory.handover_done_at is not None and leader not in (None, mine):
            # Somebody else has led since: what this member once handed over counts no more.
            agent.remember(handover_done_at=None)
        if memory.first_lock_version is None and agent.store.synced:
            agent.remember(first_lock_version=lock.version)
        if holder is not None and holder != self._holder:
            # A release in between is part of the move.
            if self._holder is not None:
                agent.remember(lock_moved_at=now)
            self._holder = holder

    def _note_reinitialize(self, lock: LockView) -> None:
        """A leader's data is what counts, a standby leader's too: a new copy that was asked for before would replace
        them once this member follows again, long after the person who asked has stopped waiting for it."""
        if self._agent.memory.reinitialize and lock.leader == self._agent.me.name:
            self._agent.remember(reinitialize=False, reinitialize_from_leader=False)
            words = "the new copy of the data that was asked for is not made: this member leads now"
            self._agent.announcer.say("ReinitializeDropped", words, warning=True)

    def _api_ok(self, now: float) -> bool:
        settings = self._agent.settings()
        if self._agent.keeper.failing_since is not None and self._agent.keeper.lead:
            return False
        return now - self._agent.store.contact < settings.loop_wait + settings.retry_timeout

    async def _check_lock_is_fresh(self) -> None:
        """A lock that was not renewed when it should have been: is it the holder, or our watch? Read it directly."""
        lock, settings, now = self._agent.store.lock(), self._agent.settings(), self._agent.now()
        overdue = now - lock.seen_at > settings.loop_wait + OVERDUE_S and lock.holder not in (None, self._agent.me.name)
        silent = now - self._agent.store.contact > settings.loop_wait + OVERDUE_S
        # The renewals tell a leader, and its loop has failsafe rounds to hold in time: it waits for no other answer.
        leads = self._agent.keeper.lead and now < (self._agent.keeper.lease_until or now)
        if (overdue or silent) and not leads and now - self._probed_at > OVERDUE_S:
            self._probed_at = now
            try:
                await self._agent.store.read_lock_object(timeout=min(1.0, settings.retry_timeout))
            except MatriarchError as error:
                self._agent.log("the API server does not answer", error=str(error))

    def _note_leaving(self, now: float, wall: float) -> None:
        """Since when a replica has had a reason to stop that does not press."""
        memory, follows = self._agent.memory, self.postgres.running and self.postgres.in_recovery is True
        planned = memory.scheduled_restart
        soon = planned is not None and planned.at - wall < LEAD_S and not self._agent.settings().pause
        leaves = follows and (memory.terminating or memory.restart or memory.reinitialize or soon)
        if leaves != (memory.leaving_since is not None):
            self._agent.remember(leaving_since=now if leaves else None)

    def _note_own_stop(self) -> None:
        """Postgres that the leash killed is down by no person's hand; one that runs is not down at all."""
        keeper, until = self._agent.keeper, self._agent.keeper.lease_until
        if self.postgres.running:
            if self._agent.memory.own_stop and self._agent.jobs.activity is None:
                self._agent.remember(own_stop=False)
        elif self.postgres.process == "stopped" and keeper.armed and until is not None and self._agent.now() >= until:
            self._agent.remember(own_stop=True)

    def _note_primary(self) -> None:
        """How far this member's primary is and who streams from it: what a crash leaves behind."""
        postgres = self.postgres
        if postgres.running and postgres.in_recovery is False and postgres.lsn is not None:
            self._agent.remember(primary_seen=PrimarySeen(postgres.lsn, postgres.standbys))

    def _note_full_disk(self, before: PostgresView) -> None:
        """How often Postgres has ended on a full disk: a start that succeeds there says little."""
        memory, now = self._agent.memory, self._agent.now()
        if not self.postgres.disk_full:
            if memory.full_deaths:
                self._agent.remember(full_deaths=0)
        elif before.running and self.postgres.process == "stopped":
            self._agent.remember(full_deaths=memory.full_deaths + 1, start_failed_at=now)

    def _note_capable(self, lock: LockView, members: tuple[MemberView, ...]) -> None:
        """What the pod that took the lock can do is to be known also when that pod is gone."""
        uid = lock.address_uid
        holder = next((member for member in members if member.name == lock.holder and member.pod_uid == uid), None)
        if holder is None or uid is None:
            return
        capable = uid if takeover.CAPABILITY in holder.capabilities else None
        if capable != self._agent.memory.capable_pod:
            self._agent.remember(capable_pod=capable)

    def _note_request(self, now: float) -> None:
        """Since when the present request has been pending."""
        request = self._agent.store.request()
        asked = (request.leader, request.candidate) if request.pending else None
        if asked != self._asked:
            self._asked = asked
            self._agent.remember(request_seen_at=now if asked is not None else None, handovers_kept=0)

    def _note_starvation(self, now: float) -> None:
        """Since when a replica that follows somebody has had no stream."""
        postgres = self.postgres
        starved = postgres.running and postgres.in_recovery is True and not postgres.streaming
        if not starved or self._agent.memory.followed is None:
            if self._agent.memory.starved_since is not None:
                self._agent.remember(starved_since=None)
        elif self._agent.memory.starved_since is None:
            self._agent.remember(starved_since=now)

    def _listen(self) -> None:
        """Keep `leader_heard_at`: by the age of the last WAL message, and by asking over REST when that grows old."""
        lock, now = self._agent.store.lock(), self._agent.now()
        leader = lock.leader if lock.leader != self._agent.me.name else None
        heard = self._agent.memory.leader_heard_at
        if leader is None or self._listens_to != (leader, lock.epoch) or heard is None:
            self._listens_to = (leader, lock.epoch)
            self._agent.remember(leader_heard_at=now if leader is not None else None, leader_refused_since=None)
            return
        followed, age = self._agent.memory.followed, self.postgres.heard_age
        if followed is not None and followed.member == leader and age is not None:
            heard = min(now, max(heard, now - age))
            self._agent.remember(leader_heard_at=heard, leader_refused_since=None)
        lost = followed is not None and followed.member == leader and not self.postgres.streaming
        if (lost or now - heard > takeover.ASK_AFTER_S) and not self._asking and self._watches_closely(lock):
            self._asking = True
            self._agent.jobs.aside(self._ask_leader(leader), "ask-leader")

    def _watches_closely(self, lock: LockView) -> bool:
        store = self._agent.store
        return takeover.relies_on(store.settings(), store.sync(), lock, self._agent.me.name)

    async def _ask_leader(self, leader: str) -> None:
        """Beside the loop: a leader that does not answer must not delay what follows from its silence."""
        try:
            member = next((m for m in self._agent.store.members() if m.name == leader), None)
            if member is None or upstream.leader_pod_gone(self.build()):
                # What a new pod of that name answers, or refuses, says nothing about the old one.
                return
            answer = await self._agent.ask_peer(member, LISTEN_TIMEOUT_S)
            if self._listens_to[0] != leader:
                return
            now, since = self._agent.now(), self._agent.memory.leader_refused_since
            if answer.reachable:
                self._agent.remember(leader_heard_at=now, leader_refused_since=None)
            elif not answer.refused:
                self._agent.remember(leader_refused_since=None)
            elif since is None:
                self._agent.remember(leader_refused_since=now)
                self._agent.wake()
        finally:
            self._asking = False

    def _recall(self) -> None:
        """A restart that was scheduled before this process began still stands in the pod's own annotation."""
        pod = self._agent.store.pod()
        if self._recalled or pod is None:
            return
        self._recalled = True
        found = scheduled_restart_from(status_of(pod))
        if found is not None and self._agent.memory.scheduled_restart is None:
            self._agent.remember(scheduled_restart=found)

    def _note_slots(self, members: tuple[MemberView, ...], settings: ClusterSettings, now: float) -> None:
        """Since when nobody has accounted for a slot; only while the pod list is trustworthy (rule 7)."""
        store, missing = self._agent.store, self._agent.memory.slots_missing_since
        if not store.synced:
            return
        if now - self._slots_noted_at > max(STOOD_STILL_S, 2 * settings.loop_wait):
            self._went_on_at = now
        self._slots_noted_at = now
        followed = max(store.followed_since, self._went_on_at)
        fresh = slots.missing_since(missing, self.postgres, members, settings, followed, now)
        if fresh != missing:
            self._agent.remember(slots_missing_since=fresh)
