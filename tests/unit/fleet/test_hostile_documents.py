"""What members and people write into annotations may be anything: a look goes on."""

from __future__ import annotations

from typing import Any

import pytest
from unit.fleet.builders import a_view

from matriarch.fleet.member import read_member
from matriarch.fleet.plan import decide
from matriarch.kube.api import Object

HOSTILE = ["[" * 10_000, '{"a":' * 10_000, '{"xlog_location": 1e999}', '{"role": "\\ud800"}', "nonsense", "[]", ""]


def _object(name: str, **annotations: str) -> Object:
    return {
        "metadata": {"name": name, "namespace": "db", "uid": "u", "resourceVersion": "1", "annotations": annotations}
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_no_annotation_stops_a_look(text: str) -> None:
    children: dict[tuple[str, str], Any] = {
        ("Pod", "demo-0"): _object("demo-0", status=text),
        ("Endpoints", "demo-config"): _object("demo-config", config=text),
    }
    assert decide(a_view(children)).status is not None


@pytest.mark.parametrize("number", ["-1", str(1 << 63), "9" * 4000])
def test_a_number_that_no_status_can_carry_is_none(number: str) -> None:
    member = read_member(_object("demo-0", status=f'{{"timeline": {number}, "xlog_location": {number}}}'))
    assert member is not None
    assert (member.timeline, member.location) == (None, None)
