"""What must hold in every state. The numbers are those of core/matriarch/ha/RULES.md."""

from __future__ import annotations

from model.replication import can_acknowledge
from model.scenario import Scenario
from model.state import PRIMARY, State


def violation(scenario: Scenario, state: State) -> str:
    """The first invariant that the state breaks, in words; "" when all hold."""
    if state.foul:
        return state.foul
    if not keeps_acknowledged_writes(state):
        return "rule 3: the latest primary misses an acknowledged write"
    if not one_can_acknowledge(state):
        return "rule 1: two members can acknowledge"
    if scenario.strict and not nobody_acknowledges_alone(state):
        return "strict mode: a primary acknowledges alone"
    return ""


def keeps_acknowledged_writes(state: State) -> bool:
    """Rule 3, and the part of rule 1 about the past: whatever anybody acknowledged, the member that was promoted last
    has it."""
    return state.servers[state.latest].log[: len(state.acked)] == state.acked


def one_can_acknowledge(state: State) -> bool:
    """Rule 1: of the servers that are out of recovery, one at most could acknowledge a new commit."""
    writable = [m for m, server in enumerate(state.servers) if server.role == PRIMARY]
    return len(writable) < 2 or sum(can_acknowledge(state, m) for m in writable) < 2


def nobody_acknowledges_alone(state: State) -> bool:
    """Strict mode: no commit is let through that nobody else has."""
    return all(server.needed or server.shut or server.role != PRIMARY for server in state.servers)
