"""How the core writes down what it knows: as values that nobody changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from dataclasses import dataclass as fact
else:
    from dataclasses import dataclass

    def fact(*, frozen: bool, slots: bool) -> Any:
        """A dataclass for what is made many times a second. Type checkers see a frozen one and let nobody change it; at
        run time it is not frozen, because making one would take many times as long."""
        assert frozen
        return dataclass(slots=slots, unsafe_hash=True)


def with_changes(value: T, **changes: Any) -> T:
    """What `dataclasses.replace` makes of a dataclass with two fields or more, in a tenth of the time."""
    kind: Any = type(value)
    made: T = kind(*_content(kind)(value))
    for name, content in changes.items():
        object.__setattr__(made, name, content)
    return made


@cache
def _content(kind: Any) -> Callable[[object], tuple[Any, ...]]:
    return attrgetter(*(field.name for field in fields(kind)))


__all__ = ["fact", "with_changes"]
