from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from matriarch.testing.fake_kube_apply import Manager, Ownership, apply_intent, leaves, merge_intent, note_update
from matriarch.testing.fake_kube_patch import copy_json, json_patch, merge_patch
from matriarch.testing.fake_kube_selectors import parse_selector
from matriarch.words.errors import ConflictError, Invalid

KEYS = st.sampled_from(["a", "b", "c", "env"])
SCALARS = st.integers(0, 3) | st.sampled_from(["x", "y"])
ITEMS = st.lists(st.fixed_dictionaries({"name": st.sampled_from("pqr"), "value": SCALARS}), max_size=3).map(
    lambda items: list({item["name"]: item for item in items}.values())
)


def maps(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(KEYS, values, max_size=3)


VALUES = st.recursive(SCALARS | st.lists(SCALARS, max_size=2), maps, max_leaves=8)
OBJECTS = maps(VALUES)
INTENTS = st.fixed_dictionaries({}, optional={"spec": OBJECTS, "containers": ITEMS, "finalizers": st.just(["f"])})


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_changes_neither_argument(target: dict[str, Any], patch: dict[str, Any]) -> None:
    before = copy_json(target), copy_json(patch)
    once = merge_patch(target, patch)
    assert (target, patch) == before
    assert merge_patch(once, patch) == once


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_by_the_book(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        ({"op": "add", "path": "/list/1", "value": 9}, {"list": [1, 9, 2], "a/b": 1}),
        ({"op": "add", "path": "/list/-", "value": 9}, {"list": [1, 2, 9], "a/b": 1}),
        ({"op": "replace", "path": "/list/0", "value": 9}, {"list": [9, 2], "a/b": 1}),
        ({"op": "remove", "path": "/a~1b"}, {"list": [1, 2]}),
        ({"op": "move", "from": "/a~1b", "path": "/c"}, {"list": [1, 2], "c": 1}),
        ({"op": "copy", "from": "/list", "path": "/c"}, {"list": [1, 2], "a/b": 1, "c": [1, 2]}),
        ({"op": "test", "path": "/list", "value": [1, 2]}, {"list": [1, 2], "a/b": 1}),
        ({"op": "replace", "path": "", "value": {"n": 1}}, {"n": 1}),
    ],
)
def test_json_patch_by_the_book(operation: dict[str, Any], result: Any) -> None:
    target = {"list": [1, 2], "a/b": 1}
    assert json_patch(target, [operation]) == result
    assert target == {"list": [1, 2], "a/b": 1}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/no"},
        {"op": "replace", "path": "/no", "value": 1},
        {"op": "add", "path": "/no/deeper", "value": 1},
        {"op": "add", "path": "/list/7", "value": 1},
        {"op": "add", "path": "/list/-1", "value": 1},
        {"op": "test", "path": "/list", "value": []},
        {"op": "explode", "path": "/list"},
        {"op": "add", "path": "list", "value": 1},
        {"op": "add", "value": 1},
        {"op": "remove", "path": ""},
    ],
)
def test_a_json_patch_that_does_not_fit_is_invalid(operation: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        json_patch({"list": [1, 2]}, [operation])


def apply(live: Any, intent: Any, owned: Ownership, name: str, force: bool = True) -> tuple[Any, Ownership]:
    return apply_intent(live, intent, owned, Manager(name, "Apply"), force=force)


@given(INTENTS, INTENTS)
def test_an_apply_leaves_exactly_the_intent_of_its_only_manager(first: Any, second: Any) -> None:
    live, owned = apply({}, first, {}, "one")
    live, owned = apply(live, second, owned, "one")
    assert leaves(live) == leaves(second)
    again, owned_again = apply(live, second, owned, "one", force=False)
    assert (again, owned_again) == (live, owned)


def holds(live: Any, intent: Any) -> bool:
    """Whether every field of the intent is there; of an empty map, that a map is there."""
    present = leaves(live)
    return all(
        present.get(path) == value
        or (value in ({}, []) and any(other != path and other[: len(path)] == path for other in present))
        for path, value in leaves(intent).items()
    )


@given(INTENTS, INTENTS)
@example({"spec": {"b": {"a": 0}}}, {"spec": {"b": []}})
def test_two_managers_get_what_both_want(first: Any, second: Any) -> None:
    live, owned = apply({}, first, {}, "one")
    try:
        live, owned = apply(live, second, owned, "two", force=False)
    except ConflictError:
        assert not holds(merge_intent(first, second), first)
        return
    assert holds(live, second)
    assert holds(live, first)
    live, owned = apply(live, {}, owned, "one")
    assert holds(live, second)
    live, owned = apply(live, {}, owned, "two")
    assert leaves(live) == {}


@given(OBJECTS, OBJECTS)
def test_after_a_patch_the_writer_owns_what_it_changed(first: Any, patch: Any) -> None:
    live, owned = apply({}, first, {}, "one")
    changed = merge_intent(live, patch)
    owned = note_update(live, changed, owned, Manager("someone", "Update"))
    differing = {path for path, value in leaves(changed).items() if leaves(live).get(path) != value}
    assert owned.get(Manager("someone", "Update"), frozenset()) == differing
    assert not owned.get(Manager("one", "Apply"), frozenset()) & differing


def test_selectors_that_make_no_sense_are_invalid() -> None:
    for text in ("a in", "a=b=c", "=x", "a in b", "a,,b", "a b", "a=(x)"):
        with pytest.raises(Invalid):
            parse_selector(text)
