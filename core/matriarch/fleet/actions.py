"""What the operator can do to the world: one imperative step each, as a value. The namespace is the cluster's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Note:
    """An event for people, on the PostgresCluster."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply of the complete intent for one object.

    `observed` tells whether the object was seen and may be ours. When it was not seen, the executor looks first: an
    object of that name that is not ours is reported and left alone.
    """

    kind: str
    body: Manifest
    observed: bool

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.body["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object; one that exists already stays as it is."""

    kind: str
    body: Manifest

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.body["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class Patch:
    """Merge patch. With `metadata.resourceVersion` in the body it is a compare-and-swap."""

    kind: str
    name: str
    body: Manifest


def swapped(kind: str, live: Manifest, metadata: Manifest, **fields: Manifest) -> Patch:
    """A compare-and-swap: these changes of its metadata and of other fields, if the object is still as observed."""
    observed = live["metadata"]
    versioned = {"resourceVersion": observed["resourceVersion"], **metadata}
    return Patch(kind, observed["name"], {"metadata": versioned, **fields})


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete exactly the object that was observed: `uid` is a precondition. `grace_s` in seconds, None for its own.

    `foreground`: the object stays visible until all that it controls is gone.
    """

    kind: str
    name: str
    uid: str
    grace_s: int | None = None
    foreground: bool = False


@dataclass(frozen=True, slots=True)
class Restart:
    """Ask a member to restart its Postgres, provided that it still has that role and a restart pending.

    It takes its time, and nobody waits for it: another look sees that it is over.
    """

    member: str
    address: str
    role: str
    """`primary`, `standby_leader` or `replica`."""
    scheme: str = "http"
    """How its REST API is asked."""
    tls_secret: str | None = None
    auth_secret: str | None = None
    """Names of the Secrets with the certificate and the password to ask it with."""
    told: tuple[Note, ...] = ()
    """The events that are true once it is over."""


Action = Apply | Create | Patch | Delete | Restart


def described(action: Action) -> str:
    """The action in a few words, for logs. Never the body: it may hold a secret."""
    match action:
        case Apply() | Create() | Patch() | Delete():
            return f"{type(action).__name__.lower()} {action.kind} {action.name}"
        case Restart():
            return f"restart {action.member}"
