"""Ports of servers that tests start: nobody else is given one, be its server down or in another process."""

from __future__ import annotations

import socket

import pytest
from e2e import ports
from e2e.ports import free_port


def few(monkeypatch: pytest.MonkeyPatch, count: int) -> range:
    """Let there be only these, which nobody uses."""
    while True:
        first = free_port()
        found = range(first + 1, first + 1 + count)
        if all(ports._unused(port) for port in found):
            monkeypatch.setattr(ports, "_PORTS", found)
            return found


def test_no_port_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    found = few(monkeypatch, 3)
    assert sorted(free_port() for _ in found) == list(found)


def test_a_port_that_somebody_listens_on_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = few(monkeypatch, 2)
    with socket.socket() as other:
        other.bind(("127.0.0.1", first))
        other.listen()
        assert free_port() == second
