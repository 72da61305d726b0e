from __future__ import annotations

from typing import Any

from matriarch_agent.reading import Reading


def test_an_object_is_decoded_once_and_its_successor_anew() -> None:
    decoded: list[dict[str, Any]] = []

    def decode(found: dict[str, Any]) -> str:
        decoded.append(found)
        return str(found["x"])

    reading = Reading(decode, "nothing")
    first, second = {"x": 1}, {"x": 1}
    assert [reading.of(first), reading.of(first), reading.of(second)] == ["1", "1", "1"]
    assert len(decoded) == 2
    assert reading.of(None) == "nothing"
    assert reading.of(second) == "1"
