"""What a lease, a claim and a promise are worth while a person changes the timing, and after an answer was lost."""

from __future__ import annotations

import asyncio

from matriarch.ha.view import PostgresView
from simulation.lessons.telling import holds_for, new_primary, replicas_of, streams, told
from simulation.member import Member
from simulation.test_scenarios import a_plan
from simulation.test_stories import tell, until
from simulation.world import World

LONG = {"ttl": 30, "loop_wait": 10, "retry_timeout": 10}
SHORT = {"ttl": 9, "loop_wait": 3, "retry_timeout": 3}


def cut_off(world: World, member: Member, cut: bool) -> None:
    (world.network.darken if cut else world.network.lighten)(member.name)
    world.api_dark(member.name, cut)


def test_a_shorter_ttl_binds_the_leader_also_when_it_gets_no_answer() -> None:
    """The renewal that tells it arrives, its answer does not, and the leader is cut off. The others count the short
    time from that renewal on; the leader's old lease would last for three times as long (rule 2)."""

    async def story(world: World, primary: Member) -> None:
        world.kube.faults_for(primary.name).lost_reply = 1.0
        await world.administrator.set_settings(SHORT)
        await until(lambda: world.truth.lock is not None and world.truth.lock.ttl == 9)
        cut_off(world, primary, True)
        await new_primary(world, primary, 20.0)
        assert not primary.server.writable
        await asyncio.sleep(20.0)
        world.kube.faults_for(primary.name).lost_reply = 0.0
        cut_off(world, primary, False)

    for seed in (1, 2, 3):
        tell(story, a_plan(synchronous_mode=False, failsafe_mode=False, **LONG), seed)


def test_a_failsafe_claim_binds_for_the_ttl_that_the_claimant_knows() -> None:
    """The API server is away, all members agree that the leader goes on, and it is cut off. When the others hear of the
    API server again a person has made the ttl shorter, of which the leader knows nothing (rules 1 and 2)."""

    async def story(world: World, primary: Member) -> None:
        for member in world.members:
            world.api_dark(member.name, True)
        # The last of its rounds with everybody in reach.
        await until(lambda: bool(world.truth.accepted.get(primary.name)))
        await asyncio.sleep(25.0)
        world.network.darken(primary.name)
        await world.administrator.set_settings(SHORT)
        for member in replicas_of(world):
            world.api_dark(member.name, False)
        await new_primary(world, primary, 60.0)
        assert not primary.server.writable
        world.network.lighten(primary.name)
        world.api_dark(primary.name, False)

    for seed in (1, 2, 3):
        tell(story, a_plan(synchronous_mode=False, **LONG), seed)


def test_who_is_not_asked_for_leave_to_go_on_does_not_take_over_early() -> None:
    """A standby comes back while the leader's last renewal does not name it yet. The leader, cut off, would ask nobody
    and go on for ever beside its successor (rule 2)."""

    async def story(world: World, primary: Member) -> None:
        (other,) = replicas_of(world)
        world.spawn(other.replace_pod(graceful=True, away_s=14.0))

        def listed_and_not_named() -> bool:
            named = (world.truth.lock.failsafe if world.truth.lock is not None else None) or {}
            return other.name in world.truth.sync.standbys and other.name not in named

        await until(lambda: other.name not in world.truth.sync.standbys)
        await until(listed_and_not_named)
        cut_off(world, primary, True)
        await holds_for(6.0, lambda: not other.server.writable)
        await asyncio.sleep(40.0)
        cut_off(world, primary, False)

    plan = a_plan(**LONG)
    plan.members = 2
    tell(story, plan)


def test_a_leader_whose_renewals_found_no_answer_can_lead_again_later() -> None:
    """It lost the lock to another member while it was cut off. Its silence then is no reason to give up what it writes
    when that member is gone, too."""

    async def story(world: World, primary: Member) -> None:
        cut_off(world, primary, True)
        successor = await new_primary(world, primary, 30.0)
        await asyncio.sleep(8.0)
        cut_off(world, primary, False)
        await until(lambda: streams(primary), 40.0)
        await asyncio.sleep(3.0)
        world.spawn(successor.restart_container("killed", 60.0))
        await until(lambda: primary.server.writable, 30.0)

    plan = a_plan(synchronous_mode=False)
    plan.members = 2
    tell(story, plan)


def test_a_loop_that_hangs_gives_way() -> None:
    """A step that never ends: nobody decides any more, and the keeper must not renew the lock for ever."""

    async def story(world: World, primary: Member) -> None:
        assert primary.agent is not None
        observe, late = primary.agent.postgres.observe, asyncio.Event()

        async def hang() -> PostgresView:
            await late.wait()
            return await observe()

        primary.agent.postgres.observe = hang  # type: ignore[method-assign]
        await new_primary(world, primary, 80.0)
        assert not primary.server.writable
        assert told(world, "renewals stop")
        late.set()

    tell(story, a_plan())
