"""Hostile text in every place that takes text: refused with the field's name, or taken where it is quoted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from e2e.hostile import LOUD, QUIET, places

from matriarch.spec.resource import read_spec
from matriarch.words.errors import Invalid

ANNOTATIONS = {"podAnnotations{}", "serviceAnnotations{}"}
QUOTED = {"parameters{}", "tags[].custom{}", "restApi.extraHeaders{}"}
"""Free text that stands in a quoted value of postgresql.conf, in JSON, or in a header of printable characters."""
BY_WORD = {"pgHba[]", "pgIdent[]"}
"""Lines that the agent checks to the last word: it refuses the wrong ones and reports them."""


def _taken(text: Callable[[str], str]) -> set[str]:
    """The places that take the text; each of the others is told by name."""
    found = set()
    for path, spec in places(text):
        whole: dict[str, Any] = {"storage": {"size": "1Gi"}} | spec
        try:
            read_spec(whole)
        except Invalid as error:
            assert path.split(".")[0].split("[")[0].split("{")[0] in str(error), f"{path}: {error}"
        else:
            found.add(path)
    return found


def test_every_place_takes_a_harmless_text() -> None:
    """Else what follows would show nothing."""
    everywhere = {path for path, _ in places(str)}
    assert _taken(str) == everywhere
    assert len(everywhere) > 80


@pytest.mark.parametrize(
    "text",
    [
        lambda _: LOUD,
        lambda harmless: harmless + LOUD,
        lambda harmless: harmless + "\n",
        lambda harmless: "\0" + harmless,
    ],
    ids=["instead", "behind", "a last line break", "a NUL before"],
)
def test_only_annotations_take_a_control_character(text: Callable[[str], str]) -> None:
    assert _taken(text) == ANNOTATIONS


def test_who_takes_other_hostile_text() -> None:
    assert _taken(lambda _: QUIET) == ANNOTATIONS | QUOTED - {"restApi.extraHeaders{}"}
    ascii_only = QUIET.encode("ascii", "ignore").decode()
    assert _taken(lambda harmless: f"{harmless} {ascii_only}") == ANNOTATIONS | QUOTED | BY_WORD


def test_a_text_without_an_end_is_taken_nowhere() -> None:
    assert _taken(lambda harmless: harmless * 100_000) == set()
