"""An API server that refuses, forgets, stays silent or works by half: none of it may cost the primary."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from matriarch.kube.api import ENDPOINTS
from matriarch.words import names
from simulation.lessons.telling import brisk, epoch, holds_for, new_primary, primary_of, replicas_of, told
from simulation.member import Member
from simulation.test_scenarios import a_plan
from simulation.test_stories import tell, until
from simulation.world import World


def everywhere(world: World, **faults: Any) -> None:
    for member in world.members:
        for name, value in faults.items():
            setattr(world.kube.faults_for(member.name), name, value)


@pytest.mark.parametrize(
    "faults",
    [{"forbidden": 1.0}, {"server_error": 1.0}, {"throttled": 1.0}, {"writes_fail": True}, {"lost_reply": 1.0}],
    ids=lambda faults: next(iter(faults)),
)
def test_refusals_beyond_any_lease_demote_nobody_while_all_members_agree(faults: dict[str, Any]) -> None:
    """A 403 from RBAC that is being rewritten, an etcd without memory or quorum, answers that get lost: renewals fail
    and reads may work. Patroni demoted its primary at a single wrong answer."""

    async def story(world: World, primary: Member) -> None:
        brisk(world)
        before = epoch(world)
        world.measure()
        everywhere(world, **faults)
        await holds_for(25.0, lambda: primary.server.writable)
        assert world.outage_s() < 1.0
        everywhere(world, **{name: type(value)(0) for name, value in faults.items()})
        await asyncio.sleep(5.0)
        assert epoch(world) == before

    tell(story, a_plan())


def test_a_refusal_shorter_than_the_lease_is_survived_without_failsafe_mode() -> None:
    """One 403 is not the loss of the lock."""

    async def story(world: World, primary: Member) -> None:
        everywhere(world, forbidden=1.0)
        await holds_for(4.0, lambda: primary.server.writable)
        everywhere(world, forbidden=0.0)
        await holds_for(15.0, lambda: primary.server.writable)

    tell(story, a_plan(failsafe_mode=False))


def test_a_lock_that_was_taken_without_an_answer_is_found_out_and_used() -> None:
    """The write that takes the lock succeeds and its reply is lost: the retry meets a conflict with itself."""

    async def story(world: World, primary: Member) -> None:
        for member in replicas_of(world):
            world.kube.faults_for(member.name).lost_reply = 0.7
        world.spawn(primary.restart_container("killed", 40.0))
        await until(lambda: world.truth.holder not in (None, primary.name), 25.0)
        everywhere(world, lost_reply=0.0)
        successor = await new_primary(world, primary, 15.0)
        assert world.truth.holder == successor.name

    for seed in (1, 2, 3):
        tell(story, a_plan(synchronous_mode=False), seed)


def test_a_renewal_without_an_answer_is_not_taken_for_a_lost_lock() -> None:
    """Every answer to a renewal gets lost for a while; each of them was written. Without failsafe mode a lease has
    5.7 s left in the worst case: the TTL without its margin, less one `loop_wait`."""

    async def story(world: World, primary: Member) -> None:
        before = epoch(world)
        world.kube.faults_for(primary.name).lost_reply = 1.0
        await holds_for(5.0, lambda: primary.server.writable)
        world.kube.faults_for(primary.name).lost_reply = 0.0
        await holds_for(15.0, lambda: primary.server.writable)
        assert epoch(world) == before

    tell(story, a_plan(failsafe_mode=False))


def test_streams_that_stay_open_and_bring_nothing_hide_neither_renewals_nor_a_lost_leader() -> None:
    """An overloaded API server: what the watch shows grows old, every compare-and-swap on it conflicts, and a cluster
    that believed it stayed without a leader."""

    async def story(world: World, primary: Member) -> None:
        everywhere(world, silent_watch=True)
        before = epoch(world)
        await holds_for(30.0, lambda: primary.server.writable)
        assert epoch(world) == before
        world.spawn(primary.restart_container("killed", 40.0))
        await new_primary(world, primary, 20.0)
        everywhere(world, silent_watch=False)

    tell(story, a_plan(synchronous_mode=False))
    tell(story, a_plan())


def test_records_that_somebody_deleted_come_back_and_nobody_initialises_anew() -> None:
    """The control plane, or a person, removes all the objects of a running cluster, `initialize` among them. A replica
    that found it absent and set it, or initialised, would end the cluster."""

    async def story(world: World, primary: Member) -> None:
        sysid = world.truth.config.initialize
        for one in world.kube.store.list(ENDPOINTS, world.namespace).items:
            world.kube.store.delete(ENDPOINTS, world.namespace, one["metadata"]["name"], "Background", None, 0)
        await holds_for(20.0, lambda: primary.server.writable)
        assert world.truth.config.initialize == sysid
        assert world.truth.holder == primary.name
        assert len(told(world, "initdb:")) == 1

    tell(story, a_plan())


def test_nobody_leads_without_the_settings_that_say_how() -> None:
    """The settings alone are removed: everybody goes on with the last ones that could be read."""

    async def story(world: World, primary: Member) -> None:
        agents = [member.agent for member in world.members if member.agent is not None]
        before = [agent.settings() for agent in agents]
        road = world.kube.client("administrator")
        nothing = {"metadata": {"annotations": {"config": None}}}
        await road.patch(ENDPOINTS, world.namespace, names.config_object(world.cluster), nothing)
        await asyncio.sleep(5.0)
        assert [agent.settings() for agent in agents] == before
        assert primary_of(world) is primary
        await world.administrator.set_settings({})

    tell(story, a_plan(ttl=15))


def test_a_lost_leader_is_noticed_after_the_ttl_and_not_a_whole_loop_later() -> None:
    """Observers that only look every `loop_wait` need up to a TTL and a loop: they look when the lock expires."""

    async def story(world: World, primary: Member) -> None:
        await asyncio.sleep(1.0)
        gone_at = asyncio.get_running_loop().time()
        world.network.darken(primary.name)
        world.api_dark(primary.name, True)
        await until(lambda: world.truth.holder not in (None, primary.name), 30.0)
        assert asyncio.get_running_loop().time() - gone_at < 15.0 + 1.5
        world.network.lighten(primary.name)
        world.api_dark(primary.name, False)

    tell(story, a_plan(ttl=15, loop_wait=8, retry_timeout=3, synchronous_mode=False))


@pytest.mark.parametrize("who", ["replica", "primary"])
def test_an_agent_that_never_reached_it_leaves_in_order_all_the_same(who: str) -> None:
    """It was started while the API server was away, and its pod is deleted: it stops its Postgres, hands nothing over,
    and does not sit out the grace period."""

    async def story(world: World, primary: Member) -> None:
        leaving = primary if who == "primary" else replicas_of(world)[0]
        world.api_dark(leaving.name, True)
        await leaving.restart_agent(0.2)
        await asyncio.sleep(2.0)
        assert leaving.server.process == "running"
        uid = leaving.uid
        world.spawn(leaving.replace_pod(graceful=True))
        await until(lambda: leaving.agent_task is None or leaving.agent_task.done(), 5.0)
        assert leaving.server.process == "stopped" and world.truth.holder == primary.name
        world.api_dark(leaving.name, False)
        await until(lambda: leaving.uid != uid)

    tell(story, a_plan())
