"""What a seed decides before anything runs: the cluster, its settings, and which faults it will have and how often.

The mix of faults is itself random, so that some seeds have many of one kind and none of the others.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from matriarch.ha.tags import Tags, tags_document
from matriarch.testing.fake_postgres_site import Hazards
from simulation.ambush import Ambush
from simulation.takeovers import aim

Mutation = Callable[[Any], None]


def _untouched(agent: Any) -> None:
    del agent


@dataclass(slots=True)
class Plan:
    """One run's parameters. Durations in seconds."""

    members: int = 3
    settings: dict[str, Any] = field(default_factory=dict)
    hazards: Hazards = field(default_factory=Hazards)
    clock_drift: float = 0.01
    wall_skew_s: float = 0.0
    """How far two members' wall clocks may be from the right time."""
    hostile_s: float = 90.0
    heal_s: float = 150.0
    fault_every_s: float = 8.0
    weights: dict[str, float] = field(default_factory=dict)
    waves: bool = False
    """Faults come in waves, each on a cluster that has got over the last one."""
    ambushes: tuple[Ambush, ...] = ()
    clients: int = 3
    client_pause: tuple[float, float] | None = None
    """Between a client's commits; None: as clients do."""
    sticky: int = 1
    local: int = 0
    """Clients on members' nodes that use the Service."""
    admin_every_s: float = 60.0
    admin_kinds: tuple[str, ...] = ()
    tags: dict[int, Tags] = field(default_factory=dict)
    """By ordinal. At least two members, or the only one, have none that keeps them from leading."""
    foreign: bool = False
    """One member starts with data of another cluster."""
    late: dict[int, float] = field(default_factory=dict)
    """Members that join later, and when: the cluster grows."""
    lock_exists: bool = True
    """The lock object was created beforehand, as an operator may do."""
    standby: bool = False
    """The cluster begins as the standby of another one, and administrators promote and demote it as a whole."""
    leash: bool = True
    mutate: Mutation = _untouched
    """Applied to each agent as it starts: how tests plant deliberate bugs."""

    def settings_text(self) -> str:
        """The `config` annotation."""
        return json.dumps(self.settings, separators=(",", ":"), sort_keys=True)


SYNCHRONOUS = (False, True, "quorum")
DEEDS = ("switchover", "failover", "parameters", "synchronous", "pause", "restart", "reinitialize", "scale")
"""What administrators do."""
SETTINGS = ("timing", "failsafe", "tags", "slots")
"""What else they change while the cluster runs, in a third of the seeds."""
PROFILES = ("mixed", "storm", "standby", "takeover", "records")
STORM = (
    "agent-kill",
    "agent-pause",
    "agent-starve",
    "api-flaky",
    "api-lagging-watch",
    "api-slow",
    "api-stale-reads",
    "api-stall",
    "clients-cut",
    "container-kill",
    "estrange",
    "freeze",
    "isolate",
    "one-way",
    "postgres-hang",
    "postgres-kill",
    "postgres-slow",
    "resets",
    "split",
)
"""What makes a synchronous primary lose its standbys, its API server and its agent, in any order."""


def plan_for(seed: int, kinds: tuple[str, ...], profile: str = "mixed") -> Plan:
    """The plan of a seed; `kinds` are the faults there are.

    `mixed`: any cluster, any mix. `storm`: a synchronous cluster of three or more under dense faults. `standby`: a
    standby cluster, which is promoted and demoted again. `takeover`: a synchronous cluster whose leader falls silent
    again and again, with faults that lie in wait for the steps of the fast failover. `records`: any cluster, and
    somebody deletes its lock and its settings now and then.
    """
    plan = _mixed(seed, kinds)
    if profile == "storm":
        plan.members = max(3, plan.members)
        plan.settings["synchronous_mode"] = plan.settings["synchronous_mode"] or True
        plan.weights = dict.fromkeys(STORM, 1.0)
        plan.fault_every_s = 2.5
        plan.clients, plan.sticky, plan.local = 3, 3, 2
    if profile == "standby":
        plan.standby, plan.foreign = True, False
        plan.admin_kinds = (*plan.admin_kinds, "turn", "turn")
        plan.admin_every_s = min(plan.admin_every_s, 40.0)
    if profile == "records":
        plan.weights["deleted-record"] = 0.3 * sum(plan.weights.values())
    if profile == "takeover":
        aim(plan, random.Random(f"{seed}/takeover"))
    return plan


def _mixed(seed: int, kinds: tuple[str, ...]) -> Plan:
    rng = random.Random(f"{seed}/plan")
    members = rng.choices([1, 2, 3, 4, 5], [1, 2, 8, 1, 3])[0]
    plan = Plan(members=members, settings=_settings(rng), hazards=_hazards(rng))
    plan.clock_drift = rng.choice([0.0, 0.001, 0.01])
    plan.hostile_s = rng.uniform(40, 160)
    plan.fault_every_s = rng.choice([3.0, 6.0, 12.0, 25.0])
    chosen = rng.sample(kinds, rng.randint(2, len(kinds)))
    plan.weights = {kind: rng.choice([0.3, 1.0, 1.0, 3.0]) for kind in sorted(chosen)}
    plan.clients = rng.randint(1, 4)
    plan.sticky = rng.randint(0, min(2, members))
    plan.admin_every_s = rng.choice([20.0, 60.0, 1e6])
    plan.admin_kinds = tuple(sorted(rng.sample(DEEDS, rng.randint(1, len(DEEDS)))))
    changes = random.Random(f"{seed}/settings")
    if changes.random() < 0.33:
        plan.admin_kinds += tuple(sorted(changes.sample(SETTINGS, changes.randint(1, len(SETTINGS)))))
        plan.admin_every_s = min(plan.admin_every_s, 30.0)
    plan.wall_skew_s = random.Random(f"{seed}/wall").choice([0.0, 0.0, 0.5, 30.0])
    plan.hazards.replay_rate = random.Random(f"{seed}/replay").choice([4e6, 64e6, 64e6, 400e6])
    plan.foreign = members >= 3 and rng.random() < 0.03
    plan.lock_exists = rng.random() < 0.7
    if members >= 3 and not plan.foreign and rng.random() < 0.25:
        plan.tags = {ordinal: _tags(rng) for ordinal in range(2, members)}
        tags = {f"demo-{ordinal}": tags_document(one) for ordinal, one in plan.tags.items()}
        plan.settings["member_tags"] = tags
    plan.settings.update(_slots(random.Random(f"{seed}/slots")))
    _archive(random.Random(f"{seed}/archive"), plan)
    plan.local = rng.randint(0, min(2, members))
    if members >= 3 and not plan.foreign and rng.random() < 0.25:
        plan.late = {ordinal: rng.uniform(10, 60) for ordinal in range(rng.randint(1, members - 1), members)}
    return plan


def _slots(rng: random.Random) -> dict[str, Any]:
    """Permanent slots in a third of the clusters; from a source of their own, so that no earlier seed changes."""
    found: dict[str, Any] = {}
    if rng.random() < 0.3:
        feed = {"type": "logical", "database": "app", "plugin": "pgoutput"}
        found["slots"] = {"backup": {"type": "physical"}, "feed": feed}
    if rng.random() < 0.1:
        found["member_slots_ttl"] = rng.choice([0, 120])
    return found


def _archive(rng: random.Random, plan: Plan) -> None:
    """A WAL archive in a quarter of the clusters; it may be slow, or refuse now and then."""
    if rng.random() < 0.25:
        plan.settings["postgresql"]["parameters"].update(archive_mode="on", archive_command="cp %p /archive/%f")
        plan.hazards.archive = rng.choice([(0.02, 0.3), (0.5, 3.0), (5.0, 60.0)])
        plan.hazards.archive_fails = rng.choice([0.0, 0.0, 0.3])


def _tags(rng: random.Random) -> Tags:
    return Tags(
        nofailover=rng.random() < 0.4,
        nosync=rng.random() < 0.4,
        failover_priority=rng.choice([1, 1, 2, 5]),
        sync_priority=rng.choice([1, 1, 2]),
        clonefrom=rng.random() < 0.3,
    )


def _settings(rng: random.Random) -> dict[str, Any]:
    ttl, wait, retry = rng.choice([(9, 3, 3), (9, 3, 3), (9, 3, 3), (15, 5, 5), (30, 10, 10)])
    return {
        "ttl": ttl,
        "loop_wait": wait,
        "retry_timeout": retry,
        "maximum_lag_on_failover": rng.choice([1024, 1024 * 1024, 16 * 1024 * 1024]),
        "failsafe_mode": rng.random() < 0.75,
        "synchronous_mode": rng.choices(SYNCHRONOUS, [3, 4, 3])[0],
        "synchronous_mode_strict": rng.random() < 0.2,
        "synchronous_node_count": rng.choice([1, 1, 1, 2]),
        "member_slots_ttl": rng.choice([1800, 1800, 20]),
        "postgresql": {"use_pg_rewind": rng.random() < 0.85, "parameters": {"max_connections": 100}},
    }


def _hazards(rng: random.Random) -> Hazards:
    hazards = Hazards()
    if rng.random() < 0.4:
        chance = rng.choice([0.05, 0.2])
        for name in ("start_fails", "promote_fails", "clone_fails", "rewind_fails", "initdb_fails", "shutdown_hangs"):
            if rng.random() < 0.4:
                setattr(hazards, name, chance)
    if rng.random() < 0.2:
        hazards.promote = (0.5, 8.0)
    if rng.random() < 0.2:
        hazards.crash_recovery = (1.0, 20.0)
    if rng.random() < 0.2:
        hazards.replay_delay = (0.01, 3.0)
    if rng.random() < 0.15:
        hazards.query = (0.01, 1.2)
    hazards.wal_keep = rng.choice([0, 16, 128, 128]) * 1024 * 1024
    if rng.random() < 0.15:
        hazards.fsync = (0.001, 0.25)
    return hazards
