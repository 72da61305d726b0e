"""Keeps the lock: renews it on a schedule of its own, behind nothing, and owns the lease.

Renewal never waits for SQL or for an activity. It stops when the decision core says that this member should not lead,
and when the core has said nothing for so long that the loop must hang: nobody would say it then.
"API unreachable" and "lock lost" are different outcomes: the first leaves the lease to run on (and failsafe to extend
it), the second ends it at once.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from matriarch.ha.lease import lease_end
from matriarch.ha.records import Renewal
from matriarch.ha.settings import ClusterSettings
from matriarch.words.errors import ConflictError, MatriarchError, NotFound
from matriarch_agent.journal import Log
from matriarch_agent.ports import Init, Now
from matriarch_agent.store import ClusterStore

AGAIN_S = 0.25
"""Seconds between attempts while the API server does not answer."""
LONGEST_STEP_S = 30.0
"""The longest that one step of the loop takes in earnest: settings that Postgres refuses one after the other. A look
takes three seconds, a record `retry_timeout`; activities run beside the loop."""


class Keeper:
    """The lease and its renewal."""

    def __init__(
        self,
        store: ClusterStore,
        init: Init,
        now: Now,
        make_renewal: Callable[[], Renewal],
        settings: Callable[[], ClusterSettings],
        wake: Callable[[], None],
        log: Log,
    ) -> None:
        self._store, self._init, self._now = store, init, now
        self._make_renewal, self._settings, self._wake, self._log = make_renewal, settings, wake, log
        self._turn = asyncio.Lock()
        self._kick = asyncio.Event()
        self.renewed: deque[float] = deque([-1e9], maxlen=4)
        """When the last granted renewals were sent."""
        self._told_ttl = math.inf
        self._told_members: dict[str, str] = {}
        """The least ttl, and all members of the failsafe topology, of the renewals that others may see: the last
        answered one, and those sent since, which may land at any time."""
        self._confirmed_at: float | None = None
        """When all others last agreed to a failsafe claim."""
        self._rest_until = -1e9
        self.lease_until: float | None = None
        self.lead = False
        """Whether to renew: the last decision's word."""
        self.armed = False
        """Postgres is under the leash."""
        self.acquiring = False
        """A write that takes the lock is under way."""
        self.bound_by_claim: Callable[[], bool] = lambda: False
        """Whether this member agreed to another's failsafe claim within the last ttl."""
        self.turned_at: Callable[[], float] = now
        """When the loop last came on: looked, or began with the next action of a decision."""
        self._hangs = False
        self.failing_since: float | None = None
        """When renewals began to fail for want of an answer; None while they succeed."""
        self.unanswered = asyncio.Event()
        """Set while renewals fail for want of an answer."""
        self.counts: dict[str, int] = {"granted": 0, "lost": 0, "unanswered": 0}
        """Outcomes of renewals and acquisitions."""

    async def run(self) -> None:
        """Renew while this member leads, until cancelled."""
        while True:
            delay = self._delay()
            if delay > 0:
                self._kick.clear()
                alarm = asyncio.get_running_loop().call_later(delay, self._kick.set)
                try:
                    await self._kick.wait()
                finally:
                    alarm.cancel()
                continue
            await self._renew()

    def set_lead(self, lead: bool) -> None:
        """Follow a decision."""
        if lead != self.lead:
            self.lead = lead
            self._kick.set()
        if not lead:
            # Nobody renews any more, so nobody would notice that the API server answers again.
            self._forget_silence()

    async def take(self, version: str | None) -> None:
        """Take the lock (or take it up again) on `version`. The lease starts when the request is sent."""
        async with self._turn:
            # Agreeing to a claim is synchronous, so it comes before this check or after `acquiring`, never between.
            if self.bound_by_claim():
                raise ConflictError("another member is primary under failsafe")
            self.acquiring = True
            try:
                renewal, sent = self._make_renewal(), self._now()
                renewal = self._as_long_as_before(renewal)
                self._note_sent(renewal)
                await self._store.take_lock(version, renewal, self._settings().retry_timeout)
                await self._granted(sent, renewal)
            finally:
                self.acquiring = False
            self.set_lead(True)

    async def renew_now(self) -> None:
        """Renew at once. Raises when that did not succeed: then nothing may be built on it."""
        before = self.counts["granted"]
        await self._renew()
        if self.counts["granted"] == before:
            raise ConflictError("the lock could not be renewed")

    def rest(self, seconds: float) -> None:
        """Make no renewal for so long, when the lease allows it: each one is a change that kube-proxy has to apply."""
        if self.lease_until is not None and self.lease_until - self._now() > seconds + self._settings().retry_timeout:
            self._rest_until = self._now() + seconds

    async def release(self, optime: int | None, successor: str | None = None) -> None:
        """Give the lock up; Postgres must not be writable any more."""
        self.set_lead(False)
        async with self._turn:
            self.lease_until = None
            await self.disarm()
            await self._store.release_lock(optime, successor, self._settings().retry_timeout)

    async def tell_end(self, lsn: int) -> None:
        """The lock is kept, and Postgres has stopped at `lsn`: a successor that waits for the TTL is measured by it."""
        async with self._turn:
            await self._store.write_position(lsn, self._settings().retry_timeout)

    def topology(self, seen: Mapping[str, str]) -> dict[str, str]:
        """Who has to agree to a failsafe round: whoever may take the lock. That are the members that the lock was
        `seen` to name, and those that a renewal names which was not answered."""
        return {**self._told_members, **seen}

    def claimable_ttl(self) -> float:
        """For how long a failsafe round may extend the lease, in seconds. No longer than any renewal under way tells:
        one that lands after the round counts instead of it."""
        return min(self._settings().ttl, self._told_ttl)

    async def extend(self, sent: float, ttl: float) -> None:
        """Failsafe: every member agreed, for `ttl` seconds, to questions sent at `sent`."""
        if self.lease_until is not None:
            self.lease_until = max(self.lease_until, lease_end(sent, ttl))
            self._confirmed_at = sent
            # A lease that had ended meanwhile lives again, and with it the renewals.
            self._kick.set()
            await self._tell_init()

    async def arm(self) -> None:
        """Put Postgres under the leash before it can become writable. Raises ConflictError without a lease."""
        if self.lease_until is None or self._now() >= self.lease_until:
            raise ConflictError("no lease")
        self.armed = True
        await self._tell_init()

    async def disarm(self) -> None:
        """Take Postgres off the leash: it is stopped or in recovery."""
        self.armed = False
        await self._init.set_lease(None)

    def adopt(self, until: float | None) -> None:
        """Go on with the lease that init knows, after a restart of the agent."""
        if until is not None and until > self._now():
            self.lease_until, self.armed = until, True

    def _delay(self) -> float:
        if not self.lead or self.lease_until is None or self._now() >= self.lease_until:
            return 3600.0
        if not self._store.synced:
            # An adopted lease: until the first listing has arrived, an absent lock proves nothing (rule 7).
            return AGAIN_S
        if self._loop_hangs():
            return AGAIN_S
        return max(self.renewed[-1] + self._settings().loop_wait, self._rest_until) - self._now()

    def _loop_hangs(self) -> bool:
        """Whether nobody decides any more. The lease then ends, and init's leash stops what nobody looks after."""
        settings, still = self._settings(), self._now() - self.turned_at()
        hangs = still > max(settings.ttl, 2 * settings.loop_wait) + LONGEST_STEP_S
        if hangs != self._hangs:
            self._hangs = hangs
            self._log("renewals stop: the loop hangs" if hangs else "the loop goes on", seconds=round(still, 1))
        return hangs

    async def _renew(self) -> None:
        async with self._turn:
            if not self.lead or self.lease_until is None:
                return
            if not self._store.synced and self._store.lock_record() is None:
                # Before the first listing an absent lock proves nothing: to make one would only show that it is there.
                return
            renewal, sent = self._make_renewal(), self._now()
            await self._announce(sent, renewal)
            budget = min(self._settings().retry_timeout, max(0.5, (self.lease_until - sent) / 2))
            try:
                await self._store.renew_lock(renewal, budget, self._confirmed_at)
                await self._granted(sent, renewal)
                return
            except (ConflictError, NotFound) as error:
                self._lost(str(error))
                return
            except MatriarchError as error:
                self._unanswered(sent, error)
        await asyncio.sleep(AGAIN_S)

    def _as_long_as_before(self, renewal: Renewal) -> Renewal:
        """A lock that is taken before it is free must not be free again before its former holder's lease is over."""
        record = self._store.lock_record()
        former = record.ttl if record is not None and record.ttl is not None else 0
        return replace(renewal, ttl=max(renewal.ttl, float(former)))

    def _note_sent(self, renewal: Renewal) -> None:
        self._told_ttl = min(self._told_ttl, renewal.ttl)
        self._told_members |= renewal.failsafe or {}

    async def _announce(self, sent: float, renewal: Renewal) -> None:
        """A renewal that tells a shorter ttl than those before it may be seen although its answer is lost: the lease
        is cut first."""
        self._note_sent(renewal)
        if self.lease_until is not None and self.lease_until > lease_end(sent, renewal.ttl):
            self.lease_until = lease_end(sent, renewal.ttl)
            await self._tell_init()

    async def _granted(self, sent: float, renewal: Renewal) -> None:
        self.renewed.append(sent)
        self._told_ttl = renewal.ttl
        self._told_members = dict(renewal.failsafe or {})
        self.counts["granted"] += 1
        until = lease_end(sent, renewal.ttl)
        self.lease_until = max(until, self.lease_until or until)
        await self._tell_init()
        if self.failing_since is not None:
            self._log("renewals succeed again", outage_s=round(self._now() - self.failing_since, 3))
            self._forget_silence()
            self._wake()

    def _forget_silence(self) -> None:
        self.failing_since = None
        self.unanswered.clear()

    def _lost(self, why: str) -> None:
        self._log("lock lost", why=why)
        self.counts["lost"] += 1
        self.lease_until = None
        self._forget_silence()
        self.lead = False
        self._wake()

    def _unanswered(self, sent: float, error: MatriarchError) -> None:
        self.counts["unanswered"] += 1
        if self.failing_since is None:
            self.failing_since = sent
            self.unanswered.set()
            self._log("renewal without an answer", error=str(error))
        self._wake()

    async def _tell_init(self) -> None:
        if self.armed:
            await self._init.set_lease(self.lease_until)
