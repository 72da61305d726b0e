"""What a seed of the profile `takeover` decides: a synchronous cluster, waves of silence, and ambushes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from matriarch.testing.fake_postgres_site import Hazards
from simulation.ambush import STEPS, VICTIMS, Ambush
from simulation.deeds import DEEDS

if TYPE_CHECKING:
    from simulation.plan import Plan

RIFTS = ("estrange", "isolate", "one-way", "split")
BESIDE = (
    "agent-kill",
    "agent-pause",
    "agent-starve",
    "api-flaky",
    "api-lagging-watch",
    "api-slow",
    "api-stall",
    "container-kill",
    "freeze",
    "postgres-kill",
    "postgres-slow",
    "resets",
)


def aim(plan: Plan, rng: random.Random) -> None:
    """Make a plan one of the profile `takeover`."""
    plan.members = rng.choice([3, 3, 3, 4, 5])
    plan.tags, plan.late, plan.foreign, plan.hazards = {}, {}, False, Hazards()
    ttl, wait, retry = rng.choice([(9, 3, 3), (9, 3, 3), (15, 5, 5), (30, 10, 10)])
    plan.settings = {
        "ttl": ttl,
        "loop_wait": wait,
        "retry_timeout": retry,
        "maximum_lag_on_failover": 16 * 1024 * 1024,
        "failsafe_mode": rng.random() < 0.5,
        "synchronous_mode": rng.choice([True, "quorum", "quorum"]),
        "synchronous_mode_strict": rng.random() < 0.2,
        "synchronous_node_count": rng.choice([1, 1, 2]),
        "postgresql": {"use_pg_rewind": True, "parameters": {"max_connections": 100}},
    }
    plan.waves, plan.hostile_s, plan.fault_every_s = True, rng.uniform(40, 90), rng.choice([0.5, 2.0, 4.0])
    chosen = rng.sample(RIFTS, rng.randint(0, 2)) + rng.sample(BESIDE, rng.randint(0, 3))
    plan.weights = {"rift": 3.0, **dict.fromkeys(sorted(chosen), 1.0)}
    plan.clients, plan.sticky, plan.local, plan.client_pause = 2, plan.members, 1, (0.02, 0.25)
    plan.admin_every_s, plan.admin_kinds = rng.choice([6.0, 20.0, 1e6]), ("count", "nosync")
    if rng.random() < 0.4:
        plan.admin_kinds += tuple(rng.sample(ALSO, 2))
    plan.ambushes = tuple(_ambush(rng) for _ in range(rng.randint(2, 10)))


ALSO = ("timing", "failsafe", "pause", "restart", "switchover", "synchronous")
"""What administrators do besides changing who is synchronous, and how many."""
LIKELY = ("promise", "claim", "take", "list", "names", "promote")
"""The steps where it hurts."""


def _ambush(rng: random.Random) -> Ambush:
    step, often = rng.choice(STEPS + LIKELY * 2), rng.choice([0.2, 0.5, 1.0])
    frequent = 0.05 if step in ("ask", "renew", "failsafe") else 1.0
    deed, victim = rng.choice(tuple(DEEDS)), rng.choice(VICTIMS)
    return Ambush(step, rng.random() < 0.5, deed, victim, often * frequent, rng.choice([0.1, 0.4, 1.5, 5.0]))
