"""The lock in Kubernetes, written and read by one member while the API server misbehaves."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from matriarch.ha.view import Me
from matriarch.kube.api import ENDPOINTS, PODS, SERVICES, Kind, Kube, Object
from matriarch.testing.fake_kube import FakeKubeServer
from matriarch.testing.virtual_time import run
from matriarch.words.errors import ConflictError, Forbidden, MatriarchError, NotFound, Unavailable
from matriarch_agent.store import ClusterStore

NAMESPACE = "default"


class Party:
    """A fake server and the store of one member on it."""

    def __init__(self, name: str, server: FakeKubeServer) -> None:
        self.me = Me(name, "demo", f"10.0.0.{name[-1]}", f"uid-{name[-1]}", "n1")
        self.server = server
        self.faults = server.faults_for(name)
        kube = self.kube = server.client(name)
        self.wakes = 0
        self.store = ClusterStore(kube, kube, self.me, NAMESPACE, asyncio.get_running_loop().time, self._wake)

    def _wake(self) -> None:
        self.wakes += 1

    async def take(self, version: str | None) -> None:
        await self.store.take_lock(version, self.store.renewal(1000, {}), 3.0)

    async def renew(self) -> None:
        await self.store.renew_lock(self.store.renewal(1001, {}), 3.0)

    def holder(self) -> str | None:
        """Who holds the lock in truth."""
        found = self.server.store.get(ENDPOINTS, NAMESPACE, "demo")
        return found["metadata"]["annotations"].get("leader")  # type: ignore[no-any-return]


@asynccontextmanager
async def at_work(*names: str) -> AsyncIterator[list[Party]]:
    server = FakeKubeServer(random.Random(7))
    parties = [Party(name, server) for name in names]
    tasks = [asyncio.create_task(party.store.run()) for party in parties]
    try:
        while not all(party.store.synced for party in parties):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        yield parties
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_a_lock_is_created_with_the_address_that_it_routes_to() -> None:
    """One write for the lock and for the address: a member that leads without being reached helps nobody."""

    async def live() -> None:
        async with at_work("demo-0") as (party,):
            await party.take(None)
            stored = party.server.store.get(ENDPOINTS, NAMESPACE, "demo")
            assert party.holder() == "demo-0"
            assert stored["subsets"][0]["addresses"][0]["ip"] == "10.0.0.0"
            assert party.server.calls["demo-0", "create", "endpoints"] == 1

    run(live())


def test_a_conflict_with_our_own_lost_reply_is_a_success() -> None:
    """The write arrived, its answer did not, and what was sent again meets a conflict."""

    async def live() -> None:
        async with at_work("demo-0") as (party,):
            await party.take(None)
            renewal = party.store.renewal(1001, {})
            version = party.store.lock().version
            party.faults.lost_reply = 1.0
            with suppress(MatriarchError):
                await party.store.take_lock(version, renewal, 0.5)
            party.faults.lost_reply = 0.0
            await party.store.take_lock(version, renewal, 3.0)
            other = party.store.renewal(1002, {})
            with pytest.raises(ConflictError):
                await party.store.take_lock(version, other, 3.0)

    run(live())


@pytest.mark.parametrize("fault", ["forbidden", "server_error", "overloaded", "throttled", "writes_fail"])
def test_a_refusal_is_not_the_loss_of_the_lock(fault: str) -> None:
    """The keeper ends the lease at ConflictError and NotFound only. A 403 while RBAC is being rewritten is neither."""

    async def live() -> None:
        async with at_work("demo-0") as (party,):
            await party.take(None)
            setattr(party.faults, fault, True if fault == "writes_fail" else 1.0)
            with pytest.raises(MatriarchError) as caught:
                await party.renew()
            assert not isinstance(caught.value, ConflictError | NotFound)

    run(live())


def test_somebody_elses_annotation_is_not_somebody_elses_lock() -> None:
    """A controller or a person touches the object between two renewals: the version moved, the lock did not."""

    async def live() -> None:
        async with at_work("demo-0") as (party,):
            await party.take(None)
            party.faults.watch_lag = (60.0, 60.0)
            touched = {"metadata": {"annotations": {"a-persons": "1"}}}
            await party.server.client("somebody").patch(ENDPOINTS, NAMESPACE, "demo", touched)
            await party.renew()
            assert party.holder() == "demo-0"

    run(live())


def test_a_lock_that_another_member_took_is_not_renewed() -> None:
    async def live() -> None:
        async with at_work("demo-0", "demo-1") as (first, second):
            await first.take(None)
            first.faults.watch_lag = (60.0, 60.0)
            await asyncio.sleep(0.1)
            await second.take(second.store.lock().version)
            with pytest.raises(ConflictError):
                await first.renew()
            assert first.holder() == "demo-1"

    run(live())


@pytest.mark.parametrize("what", ["initialize", "config"])
def test_the_config_object_has_a_service_before_it_exists(what: str) -> None:
    """Endpoints without a Service of their name go when the control plane starts, and `initialize` goes with them."""
    made: list[str] = []

    async def live() -> None:
        async with at_work("demo-0") as (party,):
            party.server.observe(lambda kind, change: made.append(f"{kind.plural}/{change.object['metadata']['name']}"))
            await party.store.write_config(None, **{what: "{}"})
            assert party.server.store.get(SERVICES, NAMESPACE, "demo-config")["spec"]["clusterIP"] == "None"

    run(live())
    assert made == ["services/demo-config", "endpoints/demo-config"]


@pytest.mark.parametrize("by_others", [False, True])
def test_settings_that_were_deleted_come_back_as_they_were(by_others: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the next write of `initialize`, and also where another one made the object anew without them. Members of
    our operator's have no right to make Services."""
    text, history = '{"ttl":9,"standby_cluster":{"host":"main"}}', "[[1,100,\"x\"]]"

    async def live() -> None:
        async with at_work("demo-0") as (party,):
            await party.store.write_config(None, config=text, history=history, initialize="7000000000000000001")
            party.server.store.delete(ENDPOINTS, NAMESPACE, "demo-config", "Background", None, 0)
            await asyncio.sleep(1.0)
            assert party.store.settings().standby_cluster is not None and party.store.config().settings_seen
            assert party.store.config().version is None
            if by_others:
                await party.server.client("another").create(ENDPOINTS, NAMESPACE, empty(party))
                await asyncio.sleep(1.0)
            monkeypatch.setattr(party.kube, "create", without_services(party.kube))
            await party.store.write_config(party.store.config().version, initialize="7000000000000000001")
            notes = party.server.store.get(ENDPOINTS, NAMESPACE, "demo-config")["metadata"]["annotations"]
            assert (notes["config"], notes["history"]) == (text, history)

    run(live())


@pytest.mark.parametrize("laid_down", [None, '{"ttl":12}'])
def test_a_cluster_that_begins_without_settings_has_empty_ones(laid_down: str | None) -> None:
    """From then on settings that are gone can be told from settings that never were."""

    async def live() -> None:
        async with at_work("demo-0") as (party,):
            if laid_down is not None:
                await party.store.write_config(None, config=laid_down)
            await party.store.write_config(party.store.config().version, initialize="")
            assert party.store.settings_text() == (laid_down or "{}") and party.store.config().settings_seen

    run(live())


def without_services(kube: Kube) -> Callable[..., Awaitable[Object]]:
    create = kube.create

    async def refusing(kind: Kind, namespace: str, body: Object, **more: float) -> Object:
        if kind is SERVICES:
            raise Forbidden("services is forbidden")
        return await create(kind, namespace, body, **more)

    return refusing


def empty(party: Party) -> Object:
    metadata = {"name": "demo-config", "namespace": NAMESPACE, "labels": dict(party.me.cluster_labels)}
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata}


def test_a_lock_that_another_member_had_before_it_was_deleted_is_not_made_again() -> None:
    """Its former leader sees both at once, after a time without the API server: the other one may have acknowledged
    commits that it lacks."""

    async def live() -> None:
        async with at_work("demo-0", "demo-1") as (first, second):
            await first.take(None)
            await asyncio.sleep(1.0)
            await second.take(second.store.lock().version)
            second.server.store.delete(ENDPOINTS, NAMESPACE, "demo", "Background", None, 0)
            await asyncio.sleep(1.0)
            with pytest.raises(ConflictError, match="another member"):
                await first.renew()

    run(live())


def test_a_lock_that_nobody_saw_go_is_made_again_only_when_all_others_agree() -> None:
    async def live() -> None:
        async with at_work("demo-0") as (party,):
            await party.take(None)
            party.server.compact()
            party.server.store.delete(ENDPOINTS, NAMESPACE, "demo", "Background", None, 0)
            party.server.compact()
            await asyncio.sleep(5.0)
            now = asyncio.get_running_loop().time()
            assert party.store.lock_record() is None
            for confirmed_at in (None, 0.0):
                with pytest.raises(Unavailable, match="nobody here saw"):
                    await party.store.renew_lock(party.store.renewal(1001, {}), 3.0, confirmed_at)
            await party.store.renew_lock(party.store.renewal(1001, {}), 3.0, now)
            assert party.holder() == "demo-0"

    run(live())


def test_a_lock_that_was_deleted_is_made_again_in_the_same_time_of_office() -> None:
    async def live() -> None:
        async with at_work("demo-0", "demo-1") as (first, second):
            await first.take(None)
            await asyncio.sleep(1.0)
            await second.take(second.store.lock().version)
            await asyncio.sleep(1.0)
            assert second.store.lock().epoch == 1
            second.server.store.delete(ENDPOINTS, NAMESPACE, "demo", "Background", None, 0)
            await asyncio.sleep(1.0)
            await second.renew()
            assert (second.holder(), second.store.lock().epoch) == ("demo-1", 1)

    run(live())


def test_annotations_of_every_record_are_strings() -> None:
    """The API server refuses a number: a position that was sent as one was never stored."""

    async def live() -> None:
        async with at_work("demo-0") as (party,):
            await party.take(None)
            await party.renew()
            written = await party.store.write_sync("demo-0", ("demo-1",), 0, None)
            assert written == party.store.sync().version
            await party.store.write_config(None, initialize="7591234567890123456", history="[]")
            await party.store.write_request("demo-0", "demo-1")
            await party.store.release_lock(2000, None, 3.0)
            for one in party.server.store.list(ENDPOINTS, NAMESPACE).items:
                assert all(isinstance(value, str) for value in one["metadata"]["annotations"].values())

    run(live())




def test_a_mere_renewal_wakes_nobody_who_does_not_heed_it() -> None:
    """The next look is planned for when the lock would be overdue; only its expiry counts from the renewal."""

    async def live() -> None:
        async with at_work("demo-0", "demo-1") as (leader, other):
            await leader.take(None)
            await asyncio.sleep(0.1)
            seen, wakes = other.store.lock().seen_at, other.wakes
            other.store.heeds_renewals = lambda: False
            await leader.renew()
            await asyncio.sleep(0.1)
            assert other.store.lock().seen_at > seen and other.wakes == wakes
            other.store.heeds_renewals = lambda: True
            await leader.renew()
            await asyncio.sleep(0.1)
            assert other.wakes == wakes + 1
            other.store.heeds_renewals = lambda: False
            await leader.store.release_lock(1002, None, 3.0)
            await asyncio.sleep(0.1)
            assert other.wakes == wakes + 2, "another holder, or none, is everybody's business"

    run(live())


def test_a_members_state_is_the_leaders_business_and_the_leaders_is_everybodys() -> None:
    async def live() -> None:
        async with at_work("demo-0", "demo-1", "demo-2") as (leader, other, third):
            for party in (leader, other, third):
                metadata = {"name": party.me.name, "namespace": NAMESPACE, "labels": dict(party.me.cluster_labels)}
                leader.server.store.seed(PODS, NAMESPACE, {"metadata": metadata, "status": {"podIP": party.me.pod_ip}})
            await leader.take(None)
            await asyncio.sleep(0.1)

            async def woken_by(party: Party, state: str) -> list[int]:
                before = [one.wakes for one in (leader, other, third)]
                text = json.dumps({"state": state, "role": "replica"})
                await party.store.patch_pod({"metadata": {"annotations": {"status": text}}}, 1.0)
                await asyncio.sleep(0.1)
                return [one.wakes - then for one, then in zip((leader, other, third), before, strict=True)]

            assert await woken_by(other, "running") == [1, 0, 0]
            assert await woken_by(leader, "running") == [0, 1, 1]

    run(live())


def test_slots_are_accounted_for_by_what_the_api_server_says_now() -> None:
    """Past the watches; and what is older than an answered write of this member's is no answer."""

    async def live() -> None:
        async with at_work("demo-0") as (party,):
            await asyncio.sleep(60)
            party.faults.silent_watch = True
            labels = dict(party.me.cluster_labels)
            pod = {"metadata": {"name": "demo-1", "namespace": NAMESPACE, "labels": labels}}
            party.server.store.seed(PODS, NAMESPACE, pod)
            asked = {"config": json.dumps({"slots": {"backup": {"type": "physical"}}})}
            config = {"name": "demo-config", "namespace": NAMESPACE, "labels": labels, "annotations": asked}
            party.server.store.seed(ENDPOINTS, NAMESPACE, {"metadata": config})
            assert (party.store.members(), dict(party.store.settings().slots.permanent)) == ((), {})
            assert await party.store.accounted_slots(1.0) == {"demo_1", "backup"}
            await party.take(None)
            party.faults.stale_s = 30.0
            with pytest.raises(Unavailable, match="older"):
                await party.store.accounted_slots(1.0)

    run(live())
