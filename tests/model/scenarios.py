"""The explored clusters. Each is exhaustive within its bounds: any number of renewals, promises, claims, overrides and
changes of the synchronous set, and as many writes, promotions, crashes ... as its budget says.

Members are a (the first leader), b, c, d; a mask like B | C says who is synchronous at the start.
"""

from __future__ import annotations

from functools import partial

from model.scenario import Scenario
from model.state import Budget

A, B, C, D = 0b1, 0b10, 0b100, 0b1000

alone = partial(Scenario, members=2, voters=B)
"""b is synchronous, and nobody else is there."""
beside = partial(Scenario, members=3, voters=B)
"""b is synchronous, and c is not."""
joined = partial(Scenario, members=3, voters=B, empty=C, grows=True)
"""b is synchronous, and c becomes it."""
any_of_two = partial(Scenario, members=3, voters=B | C, quorum=1, any_k=True)
"""Commits wait for any one of b and c."""
any_of_three = partial(Scenario, members=4, voters=B | C | D, any_k=True, shrinks=False, candidates=B)
"""Commits wait for any so many of b, c and d; b is who takes over."""

PRIORITY = (
    alone("priority, b", budget=Budget(writes=2)),
    alone(
        "priority, b, lost replies, crashes, agents killed",
        budget=Budget(writes=1, crashes=1, restarts=1, lost_replies=1),
    ),
    joined("priority, b, c joins", count=2),
    Scenario("priority, b and c", members=3, voters=B | C, needed=2, count=2),
    alone("priority, b, two takeovers", budget=Budget(writes=1, promotions=2, restarts=1)),
    beside("priority, b, API outage", expiry=True, failsafe=True, shrinks=False),
    beside(
        "priority, b, API outage, lost reply to a take",
        failsafe=True,
        shrinks=False,
        budget=Budget(writes=0, lost_replies=1),
    ),
    alone("priority, b, strict", strict=True, budget=Budget(writes=1, crashes=1)),
)

QUORUM = (
    any_of_two("quorum, any 1 of b and c"),
    joined("quorum, b, c joins", any_k=True, shrinks=False),
    any_of_two("quorum, 1 becomes 2 of b and c", count=2, shrinks=False, candidates=B),
    any_of_two(
        "quorum, any 1 of b and c, lost reply",
        shrinks=False,
        candidates=B,
        budget=Budget(writes=1, lost_replies=1),
    ),
    any_of_two(
        "quorum, any 1 of b and c, an agent killed",
        changes=False,
        candidates=B,
        budget=Budget(writes=1, restarts=1),
    ),
    any_of_two(
        "quorum, any 1 of b and c, a crash",
        shrinks=False,
        candidates=B,
        budget=Budget(writes=1, crashes=1),
    ),
    any_of_two(
        "quorum, any 1 of b and c, expiry and release",
        shrinks=False,
        candidates=B,
        expiry=True,
        budget=Budget(writes=1, releases=1),
    ),
    any_of_two(
        "quorum, any 1 of b and c, API outage",
        changes=False,
        candidates=B,
        expiry=True,
        failsafe=True,
        budget=Budget(writes=0),
    ),
    any_of_three("quorum, any 1 of b, c, d", quorum=2),
    any_of_three(
        "quorum, any 2 of b, c, d",
        quorum=1,
        needed=2,
        count=2,
        budget=Budget(writes=1, releases=1),
    ),
    any_of_two(
        "quorum, any 1 of b and c, two takeovers",
        changes=False,
        candidates=A | B,
        budget=Budget(writes=1, promotions=2),
    ),
)

LARGE = (
    joined("priority, b, c joins, two writes", count=2, budget=Budget(writes=2)),
    joined(
        "priority, b, c joins, two takeovers",
        count=2,
        budget=Budget(writes=1, promotions=2),
    ),
    any_of_two("quorum, any 1 of b and c, two writes", budget=Budget(writes=2)),
    joined("quorum, b, c joins and leaves", any_k=True),
    any_of_two(
        "quorum, any 1 of b and c, an agent killed, a crash, changes",
        shrinks=False,
        budget=Budget(writes=1, crashes=1, restarts=1),
    ),
    any_of_two("quorum, any 1 of b and c, API outage, changes", shrinks=False, expiry=True, failsafe=True),
)
