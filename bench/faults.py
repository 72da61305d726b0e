"""The faults of the comparison: each breaks a healthy system and leaves it whole enough to heal by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from e2e.cluster import ClusterProvider
from e2e.local_writer import LocalAnswer, LocalWriter
from e2e.processes import Processes

from bench.systems import System, settle

BEFORE_S = 3.0
AFTER_S = 15.0
CUT_S = 45.0
API_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Isolated:
    """A session on the cut-off node, straight to the old primary: for how long it was answered after the cut."""

    acknowledged: int
    lost: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of one fault."""

    gap_s: float
    acknowledged: int
    lost: int | None
    two_writers: list[str]
    isolated: Isolated | None = None


Seen = tuple[LocalAnswer, float] | None
Strike = Callable[[System, ClusterProvider], Seen]


@dataclass(frozen=True, slots=True)
class BenchFault:
    """A fault by name. `synchronous` is the mode it asks for; None leaves the system's default. `goal_s` in seconds."""

    name: str
    strike: Strike
    goal_s: float
    synchronous: bool | None = None


def measure(system: System, provider: ClusterProvider, fault: BenchFault) -> Outcome:
    """One run. Raises CommandFailed or TimedOut when the system does not become whole again."""
    if fault.synchronous is not None:
        system.set_synchronous(fault.synchronous)
    settle(system)
    with system.cluster.probe() as probe:
        time.sleep(BEFORE_S)
        seen = fault.strike(system, provider)
        system.cluster.wait_healthy(within=240)
        report = probe.finish()
    isolated = None
    if seen is not None:
        answer, cut = seen
        last = max((at for _, at in answer.acknowledged), default=cut)
        after = [at for _, at in answer.acknowledged if at > cut]
        isolated = Isolated(len(after), len(answer.missing(system.cluster)), round(max(0.0, last - cut), 2))
    return Outcome(report.longest_gap_s, report.acknowledged, report.lost, report.two_writers, isolated)


def _switchover(system: System, _: ClusterProvider) -> Seen:
    system.switch_over()
    time.sleep(AFTER_S)
    return None


def _postmaster(system: System, _: ClusterProvider) -> Seen:
    processes = Processes(system.cluster, system.cluster.primary())
    processes.signal(processes.postmaster(), "KILL")
    time.sleep(AFTER_S)
    return None


def _pod(system: System, _: ClusterProvider) -> Seen:
    system.cluster.delete_pod(system.cluster.primary())
    time.sleep(AFTER_S)
    return None


def _pod_by_force(system: System, _: ClusterProvider) -> Seen:
    system.cluster.delete_pod(system.cluster.primary(), force=True)
    time.sleep(AFTER_S)
    return None


def _container(system: System, provider: ClusterProvider) -> Seen:
    primary = system.cluster.primary()
    provider.kill_container(system.cluster.node(primary), system.cluster.container_id(primary))
    time.sleep(AFTER_S)
    return None


def _partition(system: System, provider: ClusterProvider) -> Seen:
    primary = system.cluster.primary()
    node = system.cluster.node(primary)
    with LocalWriter(provider, system.cluster, primary, CUT_S + 3) as writer:
        time.sleep(1)
        cut = time.time()
        provider.partition(node)
        try:
            time.sleep(CUT_S)
        finally:
            provider.heal(node)
        return writer.answer(timeout=60), cut


def _api(_: System, provider: ClusterProvider) -> Seen:
    provider.api_pause()
    try:
        time.sleep(API_PAUSE_S)
    finally:
        provider.api_resume()
    time.sleep(AFTER_S)
    return None


FAULTS = (
    BenchFault("switchover", _switchover, 0.4),
    BenchFault("postmaster-kill", _postmaster, 1.0),
    BenchFault("pod-delete", _pod, 0.5),
    BenchFault("pod-force-delete", _pod_by_force, 1.2),
    BenchFault("container-kill", _container, 1.2),
    BenchFault("api-outage-60s", _api, 0.3),
    BenchFault("partition-sync", _partition, 3.0, synchronous=True),
    BenchFault("partition-async", _partition, 10.0, synchronous=False),
)
