"""The explored clusters. Each is exhaustive within its bounds: any number of renewals, promises, claims, overrides and
changes of the synchronous set, and as many writes, promotions, crashes ... as its budget says.

Members are a (the first leader), b, c, d; a mask like B | C says who is synchronous at the start.
"""

from __future__ import annotations

from model.scenario import Scenario
from model.state import Budget

A, B, C, D = 0b1, 0b10, 0b100, 0b1000

PRIORITY = (
    Scenario("priority, b", members=2, voters=B, budget=Budget(writes=2)),
    Scenario(
        "priority, b, lost replies, crashes, agents killed",
        members=2,
        voters=B,
        budget=Budget(writes=1, crashes=1, restarts=1, lost_replies=1),
    ),
    Scenario("priority, b, c joins", members=3, voters=B, empty=C, count=2, grows=True),
    Scenario("priority, b and c", members=3, voters=B | C, needed=2, count=2),
    Scenario("priority, b, two takeovers", members=2, voters=B, budget=Budget(writes=1, promotions=2, restarts=1)),
    Scenario("priority, b, API outage", members=3, voters=B, expiry=True, failsafe=True, shrinks=False),
    Scenario(
        "priority, b, API outage, lost reply to a take",
        members=3,
        voters=B,
        failsafe=True,
        shrinks=False,
        budget=Budget(writes=0, lost_replies=1),
    ),
    Scenario("priority, b, strict", members=2, voters=B, strict=True, budget=Budget(writes=1, crashes=1)),
)

QUORUM = (
    Scenario("quorum, any 1 of b and c", members=3, voters=B | C, quorum=1, any_k=True),
    Scenario("quorum, b, c joins", members=3, voters=B, empty=C, any_k=True, grows=True, shrinks=False),
    Scenario(
        "quorum, 1 becomes 2 of b and c",
        members=3,
        voters=B | C,
        quorum=1,
        any_k=True,
        count=2,
        shrinks=False,
        candidates=B,
    ),
    Scenario(
        "quorum, any 1 of b and c, lost reply",
        members=3,
        voters=B | C,
        quorum=1,
        any_k=True,
        shrinks=False,
        candidates=B,
        budget=Budget(writes=1, lost_replies=1),
    ),
    Scenario(
        "quorum, any 1 of b and c, an agent killed",
        members=3,
        voters=B | C,
        quorum=1,
        any_k=True,
        changes=False,
        candidates=B,
        budget=Budget(writes=1, restarts=1),
    ),
    Scenario(
        "quorum, any 1 of b and c, a crash",
        members=3,
        voters=B | C,
        quorum=1,
        any_k=True,
        shrinks=False,
        candidates=B,
        budget=Budget(writes=1, crashes=1),
    ),
    Scenario(
        "quorum, any 1 of b and c, expiry and release",
        members=3,
        voters=B | C,
        quorum=1,
        any_k=True,
        shrinks=False,
        candidates=B,
        expiry=True,
        budget=Budget(writes=1, releases=1),
    ),
    Scenario(
        "quorum, any 1 of b and c, API outage",
        members=3,
        voters=B | C,
        quorum=1,
        any_k=True,
        changes=False,
        candidates=B,
        expiry=True,
        failsafe=True,
        budget=Budget(writes=0),
    ),
    Scenario(
        "quorum, any 1 of b, c, d", members=4, voters=B | C | D, quorum=2, any_k=True, shrinks=False, candidates=B
    ),
    Scenario(
        "quorum, any 2 of b, c, d",
        members=4,
        voters=B | C | D,
        quorum=1,
        needed=2,
        count=2,
        any_k=True,
        shrinks=False,
        candidates=B,
        budget=Budget(writes=1, releases=1),
    ),
    Scenario(
        "quorum, any 1 of b and c, two takeovers",
        members=3,
        voters=B | C,
        quorum=1,
        any_k=True,
        changes=False,
        candidates=A | B,
        budget=Budget(writes=1, promotions=2),
    ),
)

LARGE = (
    Scenario(
        "priority, b, c joins, two writes", members=3, voters=B, empty=C, count=2, grows=True, budget=Budget(writes=2)
    ),
    Scenario(
        "priority, b, c joins, two takeovers",
        members=3,
        voters=B,
        empty=C,
        count=2,
        grows=True,
        budget=Budget(writes=1, promotions=2),
    ),
    Scenario(
        "quorum, any 1 of b and c, two writes", members=3, voters=B | C, quorum=1, any_k=True, budget=Budget(writes=2)
    ),
    Scenario("quorum, b, c joins and leaves", members=3, voters=B, empty=C, any_k=True, grows=True),
    Scenario(
        "quorum, any 1 of b and c, an agent killed, a crash, changes",
        members=3,
        voters=B | C,
        quorum=1,
        any_k=True,
        shrinks=False,
        budget=Budget(writes=1, crashes=1, restarts=1),
    ),
    Scenario(
        "quorum, any 1 of b and c, API outage, changes",
        members=3,
        voters=B | C,
        quorum=1,
        any_k=True,
        shrinks=False,
        expiry=True,
        failsafe=True,
    ),
)
