from __future__ import annotations

from typing import Any

from matriarch.ha.actions import Decision, Fence, Release
from matriarch.ha.reasons import Reason
from matriarch_agent.journal import Journal


def test_a_repeated_decision_is_counted_up_with_its_newest_facts() -> None:
    logged: list[str] = []

    def log(event: str, **facts: Any) -> None:
        logged.append(f"{event} {facts['reason']} {facts['actions']}")

    journal = Journal(log)
    journal.record(Decision((), Reason.FOLLOWING, "a"), 1_790_000_000.0)
    journal.record(Decision((), Reason.FOLLOWING, "b"), 1_790_000_001.5)
    journal.record(Decision((Fence(),), Reason.FOLLOWING, "c"), 1_790_000_002.0)
    journal.record(Decision((Release(),), Reason.PAUSED, "d"), 1_790_000_003.0)

    first, second, third = journal.entries()
    assert (first["times"], first["facts"], first["actions"]) == (2, "b", [])
    assert (first["first"], first["last"]) == ("2026-09-21T14:13:20.000+00:00", "2026-09-21T14:13:21.500+00:00")
    assert (second["times"], second["actions"], third["reason"]) == (1, ["Fence()"], str(Reason.PAUSED))
    assert len(logged) == 3
    assert journal.counts == {str(Reason.FOLLOWING): 3, str(Reason.PAUSED): 1}
