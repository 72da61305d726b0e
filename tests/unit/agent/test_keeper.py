"""The lease: never longer than what others were told, whatever becomes of an answer (rule 2)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

from matriarch.ha.lease import lease_end
from matriarch.ha.records import LockRecord, Renewal, read_lock
from matriarch.ha.settings import ClusterSettings
from matriarch.testing.virtual_time import run
from matriarch.words.errors import MatriarchError, Unavailable
from matriarch_agent.keeper import LONGEST_STEP_S, Keeper


class Init:
    def __init__(self) -> None:
        self.told: list[float | None] = []

    async def set_lease(self, until: float | None) -> None:
        self.told.append(until)


class Store:
    """Takes whatever is written; answers as `error` says."""

    synced = True

    def __init__(self) -> None:
        self.error: MatriarchError | None = None
        self.written: list[Renewal] = []
        self.record: LockRecord | None = None

    def lock_record(self) -> LockRecord | None:
        return self.record

    async def take_lock(self, version: str | None, renewal: Renewal, timeout: float) -> None:
        await self.renew_lock(renewal, timeout)

    async def renew_lock(self, renewal: Renewal, timeout: float, confirmed_at: float | None = None) -> None:
        del confirmed_at
        self.written.append(renewal)
        if self.error is not None:
            raise self.error


class Party:
    """A keeper, what it writes to, and the settings as it knows them."""

    def __init__(self) -> None:
        self.settings = ClusterSettings(ttl=30.0)
        self.members = {"demo-0": "http://10.0.0.0:8008/patroni"}
        self.store, self.init = Store(), Init()
        self.now = asyncio.get_running_loop().time
        self.keeper = Keeper(
            self.store,  # type: ignore[arg-type]
            self.init,  # type: ignore[arg-type]
            self.now,
            lambda: Renewal("now", self.settings.ttl, failsafe=dict(self.members)),
            lambda: self.settings,
            lambda: None,
            lambda event, **facts: None,
        )

    async def leads(self) -> None:
        await self.keeper.take(None)
        await self.keeper.arm()

    async def renew(self, error: MatriarchError | None = None) -> None:
        self.store.error = error
        with suppress(MatriarchError):
            await self.keeper.renew_now()


UNANSWERED = Unavailable("connection reset")


def test_nobody_makes_a_lock_before_the_first_listing() -> None:
    """A new agent that goes on with init's lease: where it reads no lock yet there may well be one, and to find that
    out by making it would end the lease of a primary that is well."""

    async def live() -> None:
        party = Party()
        await party.leads()
        written = len(party.store.written)
        party.store.synced = False
        await party.renew()
        assert len(party.store.written) == written and party.keeper.lease_until is not None

    run(live())


def test_a_shorter_ttl_cuts_the_lease_before_it_is_told() -> None:
    """Others count it from when they see it, and that may be although no answer comes."""

    async def live() -> None:
        for error in (None, UNANSWERED):
            party = Party()
            await party.leads()
            party.settings = ClusterSettings(ttl=9.0)
            sent = party.now()
            await party.renew(error)
            assert party.keeper.lease_until == lease_end(sent, 9.0)
            assert party.init.told[-1] == lease_end(sent, 9.0)

    run(live())


def test_a_longer_ttl_counts_once_the_renewal_that_tells_it_is_answered() -> None:
    async def live() -> None:
        party = Party()
        party.settings = ClusterSettings(ttl=9.0)
        await party.leads()
        until = party.keeper.lease_until
        party.settings = ClusterSettings(ttl=30.0)
        await party.renew(UNANSWERED)
        assert party.keeper.lease_until == until
        assert party.keeper.claimable_ttl() == 9.0, "what was told before may still be what others see"
        sent = party.now()
        await party.renew()
        assert party.keeper.lease_until == lease_end(sent, 30.0)
        assert party.keeper.claimable_ttl() == 30.0

    run(live())


def test_the_ttl_of_a_lease_is_the_one_that_was_written() -> None:
    """Settings may change between the request and its answer."""

    async def live() -> None:
        party = Party()
        party.settings = ClusterSettings(ttl=9.0)
        write = party.store.renew_lock

        async def slowly(renewal: Renewal, timeout: float, confirmed_at: float | None = None) -> None:
            party.settings = ClusterSettings(ttl=30.0)
            await write(renewal, timeout, confirmed_at)

        party.store.renew_lock = slowly  # type: ignore[method-assign]
        sent = party.now()
        await party.leads()
        assert party.keeper.lease_until == lease_end(sent, 9.0)

    run(live())


def test_a_lock_is_taken_for_no_shorter_time_than_its_former_holder_had() -> None:
    """A silent leader's lock is taken before it is free. Should its taker go no further, nobody may race for it before
    the former lease is over."""

    async def live() -> None:
        party = Party()
        party.settings = ClusterSettings(ttl=9.0)
        notes = {"leader": "demo-1", "ttl": "30"}
        party.store.record = read_lock({"metadata": {"resourceVersion": "7", "annotations": notes}})
        await party.keeper.take("7")
        assert party.store.written[-1].ttl == 30.0

    run(live())


def test_everybody_whom_a_renewal_names_has_to_agree_to_a_failsafe_round() -> None:
    """Whoever is named there may take the lock, also when the answer was lost and this member does not see it."""

    async def live() -> None:
        party = Party()
        await party.leads()
        seen = dict(party.members)
        party.members = {**seen, "demo-1": "http://10.0.0.1:8008/patroni"}
        await party.renew(UNANSWERED)
        assert set(party.keeper.topology(seen)) == {"demo-0", "demo-1"}
        party.members = seen
        await party.renew()
        assert set(party.keeper.topology(seen)) == {"demo-0"}

    run(live())


def test_who_does_not_lead_any_more_does_not_go_on_believing_that_nobody_answers() -> None:
    """No renewal would tell it better, and what it writes before it takes the lock again would be given up at once."""

    async def live() -> None:
        party = Party()
        await party.leads()
        await party.renew(UNANSWERED)
        assert party.keeper.unanswered.is_set()
        party.keeper.set_lead(False)
        assert not party.keeper.unanswered.is_set()
        assert party.keeper.failing_since is None

    run(live())


def test_a_failsafe_round_extends_the_lease_by_what_was_asked_for() -> None:
    async def live() -> None:
        party = Party()
        party.settings = replace(party.settings, ttl=9.0)
        await party.leads()
        sent = party.now() + 5.0
        party.settings = replace(party.settings, ttl=30.0)
        await party.keeper.extend(sent, 9.0)
        assert party.keeper.lease_until == lease_end(sent, 9.0)

    run(live())


def test_a_loop_that_hangs_is_not_renewed_for() -> None:
    """It would not say either that this member has to stop leading; once it goes on, so do the renewals."""

    async def live() -> None:
        party = Party()
        party.settings = ClusterSettings(ttl=9.0, loop_wait=3.0)
        await party.leads()
        began, told = party.now(), len(party.store.written)
        party.keeper.turned_at = lambda: began
        keeping = asyncio.create_task(party.keeper.run())
        await asyncio.sleep(9.0 + LONGEST_STEP_S - 1.0)
        assert len(party.store.written) == told + (9.0 + LONGEST_STEP_S - 1.0) // 3, "a long step is no reason"
        await asyncio.sleep(1.5)
        stopped_at = len(party.store.written)
        await asyncio.sleep(4.0)
        assert len(party.store.written) == stopped_at
        went_on = party.now()
        party.keeper.turned_at = lambda: went_on
        await asyncio.sleep(1.0)
        assert len(party.store.written) == stopped_at + 1
        await asyncio.sleep(9.0 + LONGEST_STEP_S + 20.0)
        assert party.keeper.lease_until is not None and party.keeper.lease_until < party.now(), "the lease is over"
        keeping.cancel()

    run(live())
