"""Decoding what the informers hold, once per object: a member looks several times a second, objects change seldom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from matriarch.kube.api import Object

T = TypeVar("T")


class Reading(Generic[T]):
    """What `decode` makes of an object, kept until the informer holds another one.

    Informers replace objects and never change them, so that identity is enough to tell. `absent` stands for no object.
    """

    def __init__(self, decode: Callable[[Object], T], absent: T) -> None:
        self._decode, self._absent = decode, absent
        self._object: Object | None = None
        self._value = absent

    def of(self, found: Object | None) -> T:
        """The decoded object. It is shared: nobody may change it."""
        if found is not self._object:
            self._value = self._decode(found) if found is not None else self._absent
            self._object = found
        return self._value
