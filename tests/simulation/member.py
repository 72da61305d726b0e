"""A member: a pod on a node, with a disk, a container, init, an agent and a Postgres, each of which can fail alone."""

from __future__ import annotations

import asyncio
import random
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from matriarch.ha.documents import peer_answer_from
from matriarch.ha.view import Me, Tags
from matriarch.kube.api import PODS
from matriarch.testing.fake_network import MemberRest, SimPeers
from matriarch.testing.fake_postgres import FakePostgres
from matriarch.testing.fake_postgres_init import FakeInit, MemberClock
from matriarch.testing.fake_postgres_server import Server
from matriarch.testing.fake_postgres_wal import Volume
from matriarch.words import labels
from matriarch.words.errors import NotFound
from matriarch_agent.agent import Agent
from matriarch_agent.ports import FailsafeClaim
from simulation.ambush import Lookout
from simulation.gate import Gate, Gated

if TYPE_CHECKING:
    from simulation.world import World

GRACE_S = 30.0
"""terminationGracePeriodSeconds."""
FORCED_GRACE_S = 2.0
"""What the kubelet gives the processes of a pod that was deleted by force."""


def _keep(world: World, member: Member) -> bool:
    del world, member
    return False


class Member:
    """One ordinal of the StatefulSet, whatever pod it has at the moment."""

    def __init__(self, world: World, ordinal: int) -> None:
        self.world = world
        self.ordinal = ordinal
        self.name = f"{world.cluster}-{ordinal}"
        self.node = f"node-{ordinal}"
        self.rng = random.Random(f"{world.seed}/member/{ordinal}")
        rate = 1 + self.rng.uniform(-world.plan.clock_drift, world.plan.clock_drift)
        self.clock = MemberClock(rate, self.rng.uniform(0, 1e5))
        skew = world.plan.wall_skew_s
        self._skew_s = random.Random(f"{world.seed}/wall/{ordinal}").uniform(-skew, skew)
        self.volume = Volume(ordinal)
        self.tags = world.plan.tags.get(ordinal, Tags())
        self._addresses = 0
        self.uid = ""
        self.ip = ""
        self.server = Server("", "", world.site, self.rng, world.plan.hazards, self.volume)
        self.init: FakeInit | None = None
        self.agent: Agent | None = None
        self.asked_anew: Agent | None = None
        """The process of the agent that a person has asked for a new copy, until there is one."""
        self.gate = Gate()
        self.agent_task: asyncio.Task[None] | None = None
        self.node_up = True
        self.restarts_blocked = False
        """The container must not come back yet: its pod is being replaced, or its node is down."""
        self._agent_runs = 0

    # --- pods -----------------------------------------------------------------------------------------------------

    def new_pod(self) -> None:
        """The StatefulSet makes a pod; the kubelet starts its container a little later."""
        self._new_address()
        metadata = {
            "name": self.name,
            "namespace": self.world.namespace,
            "labels": labels.cluster_labels(self.world.cluster),
            "annotations": {},
        }
        spec = {"nodeName": self.node, "containers": [{"name": "postgres", "image": "x"}]}
        body = {"metadata": metadata, "spec": spec, "status": {"podIP": self.ip, "phase": "Running"}}
        self.uid = self.world.kube.store.seed(PODS, self.world.namespace, body)["metadata"]["uid"]
        self.world.trace.add(self.name, f"new pod at {self.ip}")

    def readdress(self) -> None:
        """The pod gets another address, as after a restart of its machine; the kubelet tells the API server of it as
        soon as it reaches it."""
        self._new_address()
        self.world.trace.add(self.name, f"its pod has the address {self.ip} now")
        self._tell_address(self.uid)

    def _tell_address(self, uid: str) -> None:
        if self.world.api_is_dark(self.name):
            asyncio.get_running_loop().call_later(1.0, self._tell_address, uid)
            return
        store, namespace = self.world.kube.store, self.world.namespace
        pod = store.table(PODS).objects.get((namespace, self.name))
        if pod is not None and pod["metadata"]["uid"] == uid:
            store.patch(PODS, namespace, self.name, {"status": {"podIP": self.ip}}, "merge", "status", "kubelet")

    def _new_address(self) -> None:
        self._addresses += 1
        self.world.site.servers.pop(self.ip, None)
        self.ip = f"10.{self.ordinal}.{self._addresses // 250}.{self._addresses % 250 + 1}"
        self.world.network.alias[self.ip] = self.name
        self.server = Server(self.name, self.ip, self.world.site, self.rng, self.world.plan.hazards, self.volume)

    def drop_pod(self) -> None:
        """The pod object goes; whatever of its container still ran is killed first."""
        self.kill_container("pod removed")
        self._delete_object()

    def _delete_object(self) -> None:
        try:
            self.world.kube.store.delete(PODS, self.world.namespace, self.name, "Background", None, 0)
        except NotFound:
            return

    async def replace_pod(
        self, *, graceful: bool, away_s: float = 0.0, drop_volume: Callable[[World, Member], bool] = _keep
    ) -> None:
        """Delete the pod; the StatefulSet makes another one of its name, after `away_s` or when the world heals. Its
        disk goes with it when `drop_volume` says so.

        Not graceful is by force: the object is gone at once, and the processes have as long as the kubelet gives them.
        """
        if self.restarts_blocked:
            return
        self.restarts_blocked = True
        if not graceful:
            self._delete_object()
        if self.agent is not None and not self.gate.shut:
            self.world.trace.add(self.name, "SIGTERM")
            self.agent.terminate()
            if self.agent_task is not None:
                await asyncio.wait([self.agent_task], timeout=GRACE_S if graceful else FORCED_GRACE_S)
        self.drop_pod()
        if drop_volume(self.world, self):
            self.lose_volume()
        await self.world.pass_time(away_s)
        await asyncio.sleep(self.rng.uniform(0.3, 2.0))
        self.new_pod()
        self.restarts_blocked = False
        if self.node_up:
            await asyncio.sleep(self.rng.uniform(0.5, 2.0))
            self.start_container()

    async def join(self, after_s: float) -> None:
        """The StatefulSet grows by this member."""
        self.restarts_blocked = True
        await self.world.pass_time(after_s)
        self.restarts_blocked = False
        self.new_pod()
        await asyncio.sleep(self.rng.uniform(0.0, 3.0))
        self.start_container()

    def lose_volume(self) -> None:
        """The disk is gone for good; the next pod gets an empty one."""
        lost, self.volume = self.volume, Volume(self.volume.number + 100)
        self.world.trace.add(self.name, f"volume lost with {lost.data}")
        self.world.checkers.volume_lost(lost)

    # --- containers -----------------------------------------------------------------------------------------------

    def start_container(self) -> None:
        """init starts, and with it the agent."""
        if self.init is not None or not self.node_up or self.restarts_blocked:
            return
        self.server.volume = self.volume
        self.init = FakeInit(self.server, self.clock, leash=self.world.plan.leash)
        self.start_agent()

    def kill_container(self, why: str, *, machine: bool = False) -> None:
        """Every process of the container is gone at once."""
        if self.init is None:
            return
        self.world.trace.add(self.name, f"container gone: {why}")
        self.init.end()
        self.init = None
        self.end_agent()
        self.server.die("gone with its container", machine=machine)

    async def restart_container(self, why: str, delay: float) -> None:
        """The container dies and the kubelet starts it again in the same pod."""
        self.kill_container(why)
        await asyncio.sleep(delay)
        self.start_container()

    def freeze(self, frozen: bool) -> None:
        """SIGSTOP or SIGCONT to everything in the container, init included."""
        if self.init is None:
            return
        if frozen:
            self.init.frozen = True
            self.gate.stop()
            self.server.freeze(True)
        else:
            # A deadline that passed meanwhile is the first thing that init sees.
            self.init.thaw()
            self.server.freeze(False)
            self.gate.go_on()

    # --- the agent ------------------------------------------------------------------------------------------------

    def start_agent(self) -> None:
        """A new agent process; it adopts whatever Postgres runs."""
        assert self.init is not None
        self._agent_runs += 1
        self.gate = Gate()
        if self.init.frozen:
            self.gate.stop()
        me = Me(self.name, self.world.cluster, self.ip, self.uid, self.node)
        spy = Lookout(self.world.ambusher, self) if self.world.ambusher is not None else None
        kube = Gated(self.world.kube.client(self.name), self.gate, spy)
        peers = SimPeers(self.ip, self.world.network, self.world.rest_at, self._decode)
        self.agent = Agent(
            me,
            self.world.namespace,
            kube,
            kube,
            Gated(FakePostgres(self.server, self.clock.now), self.gate, spy),
            Gated(self.init, self.gate),
            Gated(peers, self.gate, spy),
            self.clock.now,
            self._wall,
            self._log,
        )
        self.world.plan.mutate(self.agent)
        self.agent_task = asyncio.create_task(self._run_agent(self.agent), name=f"{self.name}-agent-{self._agent_runs}")

    def _wall(self) -> float:
        return self.world.wall() + self._skew_s

    def end_agent(self) -> None:
        """SIGKILL to the agent alone."""
        self.gate.end()
        if self.agent_task is not None:
            self.agent_task.cancel()
        self.agent = self.agent_task = None

    async def restart_agent(self, delay: float) -> None:
        """The agent dies; init starts another one. Postgres is not touched."""
        if self.init is None:
            return
        init = self.init
        self.world.trace.add(self.name, "agent killed")
        self.end_agent()
        await asyncio.sleep(delay)
        if self.init is init and self.agent is None:
            self.start_agent()

    async def _run_agent(self, agent: Agent) -> None:
        try:
            await agent.run()
        except asyncio.CancelledError:
            raise
        except BaseException:  # noqa: BLE001  a crash of the agent is a finding, whatever it is
            if self.agent is agent:
                self.world.violation(0, self.name, "the agent crashed: " + traceback.format_exc())
            return
        if self.agent is agent:
            self.world.trace.add(self.name, "the agent has left")
            if not self.restarts_blocked:
                self.world.spawn(self.restart_container("its agent left", 1.0))

    def _log(self, event: str, **facts: Any) -> None:
        self.world.trace.add(self.name, event, facts)

    def _decode(self, name: str, body: Mapping[str, Any]) -> Any:
        return peer_answer_from(name, body, self.world.cluster)

    # --- REST -----------------------------------------------------------------------------------------------------

    def rest(self) -> MemberRest:
        """What answers on this pod's port 8008."""
        return _Rest(self)


class _Rest:
    def __init__(self, member: Member) -> None:
        self._member = member

    async def status(self) -> Mapping[str, Any]:
        agent = await self._agent()
        # A task of its own: when that agent is killed meanwhile, the one who asked must not be cancelled with it.
        answer = self._member.world.spawn(agent.answer_status())
        await asyncio.wait([answer])
        if answer.cancelled():
            raise ConnectionError("connection reset by peer")
        return answer.result()

    async def failsafe(self, body: Mapping[str, Any]) -> int:
        agent = await self._agent()
        words = (body[key] for key in ("name", "api_url", "conn_url", "slots", "ttl", "timeline"))
        claim = FailsafeClaim(*words)
        verdict = agent.accept_failsafe(claim)
        if verdict.accepted:
            self._member.world.truth.accept(claim.name, self._member.name, max(claim.ttl, agent.settings().ttl))
        self._member.world.trace.add(self._member.name, f"failsafe claim of {claim.name}: {verdict.text}")
        return int(verdict.status)

    async def _agent(self) -> Agent:
        member = self._member
        await member.gate.opened()
        if member.agent is None:
            raise ConnectionRefusedError("connection refused")
        return member.agent
