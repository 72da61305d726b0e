"""Each deliberate bug is noticed, and by the rule that it breaks; without the bug the same world keeps every rule."""

from __future__ import annotations

import pytest

from simulation.hunt import hunt
from simulation.lease_mutants import LEASE_MUTANTS
from simulation.mutant import Mutant
from simulation.mutants import MUTANTS
from simulation.quorum_mutants import QUORUM_MUTANTS
from simulation.takeover_mutants import TAKEOVER_MUTANTS
from simulation.world import simulate

ALL = (*MUTANTS, *LEASE_MUTANTS, *QUORUM_MUTANTS, *TAKEOVER_MUTANTS)


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_mutant_is_noticed(mutant: Mutant) -> None:
    catch = hunt(mutant)
    assert catch is not None, f"nobody noticed in {mutant.seeds} seeds: {mutant.name}"
    if not mutant.weakens_the_world:
        control = simulate(catch.seed, mutant.profile, adjust=mutant.adjust)
        assert control.violation is None, control.report()
