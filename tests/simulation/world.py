"""A whole world from a seed: it is tormented for a while, then healed, and must then become whole again by itself."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, TypeVar

from matriarch.ha.view import SyncView
from matriarch.kube.api import ENDPOINTS
from matriarch.testing.fake_kube import FakeKubeServer
from matriarch.testing.fake_kube_faults import ApiFaults
from matriarch.testing.fake_network import FakeNetwork, MemberRest
from matriarch.testing.fake_postgres_server import Server
from matriarch.testing.fake_postgres_site import Hazards, Site
from matriarch.testing.fake_postgres_wal import FIRST_LSN, Branch, DataDir
from matriarch.testing.virtual_time import run
from matriarch.words import labels, names
from simulation.administrators import Administrator
from simulation.ambush import Ambusher
from simulation.checkers import Checkers
from simulation.checkers.convergence import unsettled
from simulation.clients import Client
from simulation.faults import KINDS, torment
from simulation.member import Member
from simulation.plan import Plan, plan_for
from simulation.remote import Remote
from simulation.result import Result
from simulation.rifts import Rifts
from simulation.trace import Trace
from simulation.truth import Truth

T = TypeVar("T")
TICK_S = 0.25
STEADY_S = 4.0
"""For how long the cluster must stay whole to count as converged."""
EPOCH = 1_790_000_000.0


class World:
    """Everything of one run, and the Watcher of its servers."""

    cluster = "demo"
    namespace = "default"

    def __init__(self, seed: int, plan: Plan, keep: int | None = 400) -> None:
        self.seed = seed
        self.plan = plan
        self.trace = Trace(keep)
        self.kube = FakeKubeServer(random.Random(f"{seed}/kube"))
        self.network = FakeNetwork(random.Random(f"{seed}/network"))
        self.site = Site(self.network, self)
        self.truth = Truth(self)
        self.remote = Remote(self)
        self.members: list[Member] = []
        self.foreign: list[str] = []
        """System identifiers of other clusters."""
        self.opened: list[str] = []
        """System identifiers of data that has ever accepted writes, here or elsewhere."""
        self.set_aside: list[Member] = []
        """Members that cannot be expected to join."""
        self.healing = False
        self.volumes_lost = 0
        self.found: tuple[int, str, str] | None = None
        self.faults: Counter[str] = Counter()
        self._over = asyncio.Event()
        self._healed = asyncio.Event()
        self._measured_from = 0.0
        self._undo: dict[int, Callable[[], None]] = {}
        self._undone = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self._dark: Counter[str] = Counter()
        self.rifts = Rifts(self)
        self.ambusher = Ambusher(self) if plan.ambushes else None
        self.dark_since: dict[str, float] = {}
        """Since when a member's node has not heard the API server."""
        for ordinal in range(plan.members):
            self.members.append(Member(self, ordinal))
        self.checkers = Checkers(self)
        self.administrator = Administrator(self)
        self.clients = [Client(self, number) for number in range(plan.clients)]
        sticky = self.members[: plan.sticky]
        self.clients += [Client(self, 100 + number, member) for number, member in enumerate(sticky)]
        local = self.members[: plan.local]
        self.clients += [Client(self, 200 + number, local=member) for number, member in enumerate(local)]
        for client in self.clients if plan.client_pause is not None else []:
            client.pause, client.bulk = plan.client_pause, 0.0

    # --- services for the rest of the world -----------------------------------------------------------------------

    def wall(self) -> float:
        """UTC epoch seconds."""
        return EPOCH + asyncio.get_running_loop().time()

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something beside everything else, to its end or that of the world.

        Kept here: a task that nobody refers to would be collected as garbage some time, and end the determinism.
        """
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)
        return task

    async def pass_time(self, seconds: float) -> None:
        """Wait, but not beyond the moment of healing."""
        try:
            async with asyncio.timeout(seconds):
                await self._healed.wait()
        except TimeoutError:
            return

    def later(self, seconds: float, undo: Callable[[], None]) -> None:
        """Undo a fault after a while, or when the world heals."""
        self._undone += 1
        number = self._undone
        self._undo[number] = undo

        def act() -> None:
            if self._undo.pop(number, None) is not None:
                undo()

        asyncio.get_running_loop().call_later(seconds, act)

    def count_fault(self, kind: str) -> None:
        """For the statistics and the trace."""
        self.faults[kind] += 1
        self.trace.add("fault", kind)

    def api_dark(self, name: str, dark: bool) -> None:
        """Cut a member's road to the API server, counted."""
        self._dark[name] += 1 if dark else -1
        self.kube.faults_for(name).outage = self.api_is_dark(name)
        if not self.api_is_dark(name):
            self.dark_since.pop(name, None)
        else:
            self.dark_since.setdefault(name, asyncio.get_running_loop().time())

    def api_is_dark(self, name: str) -> bool:
        """Whether nothing passes between a member's node and the API server."""
        return self._dark[name] > 0

    def calm_api(self) -> ApiFaults:
        """The API server on a good day."""
        return ApiFaults(latency=(0.001, 0.006), watch_lag=(0.0, 0.01))

    def rest_at(self, api_url: str) -> tuple[str, MemberRest] | None:
        """Whose REST answers at an address; None when nothing does, not even a refusal."""
        host = api_url.split("://", 1)[-1].split(":", 1)[0].split("/", 1)[0]
        for member in self.members:
            # A pod whose container is down still has its address: its machine refuses connections. One that is being
            # deleted answers until its container has ended.
            there = member.init is not None or not member.restarts_blocked
            if member.ip == host and member.node_up and there:
                return member.ip, member.rest()
        return None

    def plant_foreign(self, member: Member) -> None:
        """Put another cluster's data on a member's disk; its container must not run."""
        sysid = self.site.new_sysid()
        self.foreign.append(sysid)
        self.opened.append(sysid)
        self.set_aside.append(member)
        branch = self.site.wal.grow("elsewhere", sysid, 1, None, FIRST_LSN)
        branch.end += 1000
        member.volume.data = DataDir(sysid, branch, branch.end, branch.end, branch.end, state="shut down")
        self.trace.add(member.name, f"has data of another cluster, system identifier {sysid}")

    # --- Watcher --------------------------------------------------------------------------------------------------

    def event(self, member: str, what: str) -> None:
        """A server has something to tell."""
        self.trace.add(member, what)

    def sync_changed(self, before: SyncView, after: SyncView) -> None:
        """The sync object changed in the API server."""
        self.checkers.sync_changed(before, after)
        author = next((member for member in self.members if member.name == after.leader), None)
        if self.ambusher is not None and author is not None:
            self.ambusher.happens(author, "lands", True)

    def violation(self, rule: int, member: str, what: str) -> None:
        """A rule is broken: the run ends here."""
        if self.found is None:
            self.trace.add(member, f"VIOLATION of rule {rule}: {what}")
            self.found = (rule, member, what)
            self._over.set()

    def changed(self, server: Server) -> None:
        """A server changed."""
        if server is self.remote.server:
            return
        if server.writable and server.disk.sysid not in self.opened:
            self.opened.append(server.disk.sysid)
        self.checkers.changed(server)

    def acknowledged(self, server: Server, branch: Branch, lsn: int) -> None:
        """A commit is acknowledged."""
        self.checkers.acknowledged(server, branch, lsn)

    def data_replaced(self, server: Server, old: DataDir | None, new: DataDir | None, how: str) -> None:
        """A data directory changed."""
        self.trace.add(server.member, f"{how}: {old} -> {new}")
        self.checkers.data_replaced(server, old, new, how)

    def slot_dropped(self, server: Server, slot: str) -> None:
        """A slot went."""
        self.checkers.slot_dropped(server, slot)

    # --- the run --------------------------------------------------------------------------------------------------

    async def live(self) -> Result:
        """The whole run."""
        loop = asyncio.get_running_loop()
        self.start()
        hostile = [loop.create_task(torment(self)), loop.create_task(self.administrator.run())]
        await self._until(self.plan.hostile_s)
        for task in hostile:
            task.cancel()
        converged = None
        if self.found is None:
            started = loop.time()
            await self._heal()
            converged = await self._converge(started)
        return self._result(loop.time(), converged)

    def start(self) -> None:
        """Pods come up, clients begin to write, checkers begin to look."""
        asyncio.get_running_loop().set_exception_handler(self._unhandled)
        if self.plan.standby:
            self.remote.found()
            self.plan.settings["standby_cluster"] = self.remote.settings()
            self.spawn(self.remote.write())
        self._prepare()
        asyncio.get_running_loop().call_later(TICK_S, self._tick)
        for client in self.clients:
            client.run()

    async def whole(self, within_s: float) -> float:
        """Wait until the cluster is whole. Returns how long it took; a violation of liveness when it takes too long."""
        started = asyncio.get_running_loop().time()
        while self.found is None and (problem := unsettled(self)) is not None:
            waited = asyncio.get_running_loop().time() - started
            if waited > within_s:
                self.violation(8, "cluster", f"not whole after {waited:.0f} s: {problem}")
            await asyncio.sleep(TICK_S / 5)
        return asyncio.get_running_loop().time() - started

    def measure(self) -> None:
        """Count outages from now on."""
        self._measured_from = asyncio.get_running_loop().time()

    def outage_s(self) -> float:
        """The longest time in which no client at all got an acknowledgement, since `measure`."""
        moments = sorted(at for client in self.clients if not client.sticky for at in client.acks)
        edges = [self._measured_from, *(at for at in moments if at >= self._measured_from)]
        edges.append(asyncio.get_running_loop().time())
        return max(later - earlier for earlier, later in pairwise(edges))

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception that nobody looked at: a task died in silence."""
        del loop
        error = context.get("exception")
        self.violation(
            0, "task", f"{context.get('message')}: {error!r} in {context.get('task') or context.get('future')}"
        )

    def _prepare(self) -> None:
        calm = self.calm_api()
        for member in self.members:
            faults = self.kube.faults_for(member.name)
            faults.latency, faults.watch_lag = calm.latency, calm.watch_lag
        self.kube.observe(self.truth.changed)
        self.seed_object(names.config_object(self.cluster), {"config": self.plan.settings_text()})
        if self.plan.lock_exists:
            self.seed_object(names.lock_object(self.cluster), {})
        if self.plan.foreign:
            self.plant_foreign(self.members[-1])
        for member in self.members:
            if member.ordinal in self.plan.late:
                self.spawn(member.join(self.plan.late[member.ordinal]))
                continue
            member.new_pod()
            self.spawn(self._first_start(member))

    def seed_object(self, name: str, notes: dict[str, str]) -> None:
        """Lay down one of the cluster's records."""
        metadata = {"name": name, "namespace": self.namespace, "labels": labels.cluster_labels(self.cluster)}
        self.kube.store.seed(ENDPOINTS, self.namespace, {"metadata": {**metadata, "annotations": notes}})

    async def _first_start(self, member: Member) -> None:
        await asyncio.sleep(member.rng.uniform(0.0, 3.0))
        member.start_container()

    async def _until(self, moment: float) -> None:
        try:
            async with asyncio.timeout_at(moment):
                await self._over.wait()
        except TimeoutError:
            return

    def _tick(self) -> None:
        self.checkers.tick()
        if self.found is None:
            asyncio.get_running_loop().call_later(TICK_S, self._tick)

    async def _heal(self) -> None:
        """No more faults, and nobody who interferes."""
        self.trace.add("world", "heals")
        self.healing = True
        self._healed.set()
        undo, self._undo = self._undo, {}
        for number in sorted(undo):
            undo[number]()
        self.network.heal()
        self.network.delay = (0.0001, 0.003)
        calm = Hazards()
        for name in Hazards.__dataclass_fields__:
            setattr(self.plan.hazards, name, getattr(calm, name))
        if self.plan.settings.get("pause"):
            await self.administrator.set_settings({"pause": False})

    async def _converge(self, started: float) -> float | None:
        loop = asyncio.get_running_loop()
        whole_since: float | None = None
        while self.found is None:
            problem, now = unsettled(self), loop.time()
            if problem is not None:
                whole_since = None
            elif whole_since is None:
                whole_since = now
            elif now - whole_since >= STEADY_S:
                await self._final_write()
                return whole_since - started
            if now - started > self.plan.heal_s:
                self.violation(8, "cluster", f"not whole {now - started:.0f} s after healing: {problem}")
            await asyncio.sleep(TICK_S)
        return None

    async def _final_write(self) -> None:
        if self.truth.settings.standby_cluster is not None:
            return
        primary = next(member for member in self.members if member.server.writable)
        missing = self.checkers.no_lost_ack.missing_in(primary.server.disk)
        if missing is not None:
            self.violation(3, primary.name, f"at the end the primary lacks acknowledged {missing}")
        settings = self.truth.settings
        if settings.synchronous_mode_strict and settings.synchronous and not self.truth.sync.standbys:
            return  # nobody is there to acknowledge, and strict mode then lets nothing through
        for _ in range(3):
            if await Client(self, 999).write() is not None:
                return
            await asyncio.sleep(1.0)
        self.violation(8, primary.name, "the cluster is whole but takes no writes through its Service")

    def _result(self, at: float, converged: float | None) -> Result:
        acknowledged = sum(len(client.acks) for client in self.clients)
        lines = self.trace.lines() if self.found is not None or self.trace.whole else []
        return Result(self.seed, self.found, at, converged, acknowledged, self.faults, lines)


def simulate(
    seed: int, profile: str = "mixed", *, keep: int | None = 400, adjust: Callable[[Plan], None] | None = None
) -> Result:
    """Run one seed. `adjust` may change its plan first."""
    plan = plan_for(seed, KINDS, profile)
    if adjust is not None:
        adjust(plan)

    async def live() -> Result:
        return await World(seed, plan, keep).live()

    with _without_collector():
        began = time.process_time()
        result = run(live())
        result.cpu_s = time.process_time() - began
    result.profile = profile
    return result


@contextmanager
def _without_collector() -> Iterator[None]:
    """A run makes much garbage and little of it in cycles: collecting it once, at the end, and without the
    modules saves a tenth of the time."""
    was_on = gc.isenabled()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
            gc.collect()
