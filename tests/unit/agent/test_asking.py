"""Where other members are asked: where they say, and where their pods are."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest
from unit.ha.views import ME, member, silent

from matriarch.ha.documents.status import asked_at
from matriarch.ha.view import MemberView, PeerAnswer
from matriarch_agent.agent import Agent

TOLD, HERE = "http://10.0.0.2:8008/patroni", "http://10.0.9.9:8008/patroni"
MOVED = member("demo-2", pod_ip="10.0.9.9")
"""Its machine came back with another address, and it could not write that down yet."""


@pytest.mark.parametrize(
    ("other", "urls"),
    [
        (member("demo-2"), (TOLD,)),
        (MOVED, (TOLD, HERE)),
        (member("demo-2", api_url=None), (TOLD,)),
        (member("demo-2", pod_ip=None), (TOLD,)),
        (member("demo-2", api_url="https://10.0.0.2:9/patroni"), ("https://10.0.0.2:9/patroni",)),
        (MemberView("demo-2"), ()),
    ],
    ids=["where it says", "at both places", "not spoken yet", "no address", "its own port", "nowhere"],
)
def test_where_a_member_is_asked(other: MemberView, urls: tuple[str, ...]) -> None:
    assert asked_at(ME, other) == urls


def ask(other: MemberView, *answers: PeerAnswer) -> PeerAnswer:
    """What comes of it when the places answer so, one after the other."""
    left = iter(answers)

    async def one(name: str, url: str, *, timeout: float) -> PeerAnswer:
        return next(left)

    agent = SimpleNamespace(me=ME, peers=SimpleNamespace(ask=one))
    return asyncio.run(Agent.ask_peer(cast(Agent, agent), other))


def test_whichever_place_answers_counts() -> None:
    here = PeerAnswer("demo-2", True, lsn=1000)
    assert ask(MOVED, silent("demo-2"), here) == here
    assert ask(MOVED, here, silent("demo-2")) == here
    assert ask(MemberView("demo-2")) == silent("demo-2")


def test_a_member_is_gone_only_when_nobody_listens_at_either_place() -> None:
    refused = PeerAnswer("demo-2", False, refused=True)
    assert ask(MOVED, refused, refused).refused
    assert not ask(MOVED, refused, silent("demo-2")).refused


@pytest.mark.parametrize("silent_one", [TOLD, HERE])
async def test_nobody_waits_for_the_place_that_the_member_has_left(silent_one: str) -> None:
    """A race, or a leader that is watched, would lose the whole timeout by it. The question is taken back."""
    given_up: list[str] = []

    async def one(name: str, url: str, *, timeout: float) -> PeerAnswer:
        if url != silent_one:
            return PeerAnswer(name, True, lsn=1000)
        try:
            await asyncio.sleep(3600)
        finally:
            given_up.append(url)
        return silent(name)

    agent = SimpleNamespace(me=ME, peers=SimpleNamespace(ask=one))
    async with asyncio.timeout(1.0):
        assert (await Agent.ask_peer(cast(Agent, agent), MOVED)).lsn == 1000
        await asyncio.sleep(0)
    assert given_up == [silent_one]
