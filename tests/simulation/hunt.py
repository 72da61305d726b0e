"""Looks for the first seed on which a mutant is noticed."""

from __future__ import annotations

from simulation.mutant import Catch, Mutant
from simulation.world import simulate


def hunt(mutant: Mutant, start: int = 1) -> Catch | None:
    """The first catch within the mutant's number of seeds; None when it escapes."""
    others: list[int] = []
    with mutant.plant():
        for tried, seed in enumerate(range(start, start + mutant.seeds), 1):
            found = simulate(seed, mutant.profile, adjust=mutant.adjust).violation
            if found is not None and found[0] in mutant.rules:
                return Catch(seed, found[0], tried, others)
            if found is not None:
                others.append(seed)
    return None
