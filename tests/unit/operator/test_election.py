"""Two candidates and one Lease, on virtual time against the fake API server."""

from __future__ import annotations

import asyncio

from matriarch.kube import api
from matriarch.testing.fake_kube import FakeKubeServer
from matriarch.testing.virtual_time import run
from matriarch_operator.election import DURATION_S, NAME, RENEW_WITHIN_S, Election

NAMESPACE = "system"


def _candidates() -> tuple[FakeKubeServer, Election, Election]:
    server = FakeKubeServer()
    one, two = (Election(server.client(name), NAMESPACE, NAME, name) for name in ("one", "two"))
    return server, one, two


def test_only_one_leads_and_the_other_follows_at_once_when_it_gives_back() -> None:
    async def story() -> float:
        _, one, two = _candidates()
        await one.acquire()
        holding = asyncio.create_task(one.hold())
        waiting = asyncio.create_task(two.acquire())
        await asyncio.sleep(300)
        assert (one.leading, two.leading) == (True, False)
        holding.cancel()
        await one.release()
        began = asyncio.get_running_loop().time()
        await waiting
        assert (one.leading, two.leading) == (False, True)
        return asyncio.get_running_loop().time() - began

    assert run(story()) <= 2.0


def test_a_dead_one_is_succeeded_after_the_lease_ran_out() -> None:
    async def story() -> float:
        _, one, two = _candidates()
        await one.acquire()
        began = asyncio.get_running_loop().time()
        await two.acquire()
        return asyncio.get_running_loop().time() - began

    assert DURATION_S <= run(story()) <= DURATION_S + 4


def test_who_cannot_renew_stops_before_another_may_start() -> None:
    async def story() -> tuple[float, float]:
        server, one, two = _candidates()
        await one.acquire()
        began = asyncio.get_running_loop().time()
        server.faults_for("one").outage = True
        waiting = asyncio.create_task(two.acquire())
        await one.hold()
        stopped = asyncio.get_running_loop().time() - began
        assert not one.leading
        await waiting
        return stopped, asyncio.get_running_loop().time() - began

    stopped, taken = run(story())
    assert stopped < taken
    assert stopped <= RENEW_WITHIN_S + 7


def test_a_restarted_process_of_the_same_name_need_not_wait() -> None:
    async def story() -> float:
        server, one, _ = _candidates()
        await one.acquire()
        await Election(server.client("one"), NAMESPACE, NAME, "one").acquire()
        lease = await server.client("test").get(api.LEASES, NAMESPACE, NAME)
        assert lease["spec"]["leaseTransitions"] == 1
        return asyncio.get_running_loop().time()

    assert run(story()) == 0.0


def test_two_releases_in_one_namespace_do_not_stand_in_for_each_other() -> None:
    async def story() -> None:
        server, one, _ = _candidates()
        await one.acquire()
        other = Election(server.client("two"), NAMESPACE, "other-matriarch-operator", "two")
        await other.acquire()
        assert (one.leading, other.leading) == (True, True)

    run(story())
