"""Label selectors as the API server reads them: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from matriarch.kube.api import Object
from matriarch.words.errors import Invalid

Matches = Callable[[Object], bool]
_Test = Callable[[Mapping[str, str]], bool]

_KEY = r"[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?"
_EXISTS = re.compile(rf"^(?P<absent>!?)\s*(?P<key>{_KEY})$")
_EQUALS = re.compile(rf"^(?P<key>{_KEY})\s*(?P<op>==|=|!=)\s*(?P<value>[-A-Za-z0-9_.]*)$")
_SET = re.compile(rf"^(?P<key>{_KEY})\s+(?P<op>in|notin)\s*\((?P<values>[-A-Za-z0-9_., ]*)\)$")
_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^(]*\))")


@lru_cache(maxsize=1024)
def parse_selector(text: str) -> Matches:
    """A predicate on objects. Raises Invalid when `text` is not a selector."""
    if not text.strip():
        return lambda _object: True
    tests = [_parse_one(part.strip()) for part in _COMMA_OUTSIDE_PARENTHESES.split(text)]

    def matches(item: Object) -> bool:
        labels = item["metadata"].get("labels") or {}
        return all(test(labels) for test in tests)

    return matches


def _parse_one(text: str) -> _Test:
    if found := _EXISTS.match(text):
        key, wanted = found["key"], not found["absent"]
        return lambda labels: (key in labels) is wanted
    if found := _EQUALS.match(text):
        key, value = found["key"], found["value"]
        if found["op"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _SET.match(text):
        key, values = found["key"], frozenset(value.strip() for value in found["values"].split(","))
        if found["op"] == "notin":
            return lambda labels: key not in labels or labels[key] not in values
        return lambda labels: key in labels and labels[key] in values
    raise Invalid(f"unable to parse the label selector at {text!r}")
