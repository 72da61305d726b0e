"""What a document is made from: the last view, and what has moved on since it was taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from matriarch.ha.settings import ClusterSettings
from matriarch.ha.view import Me, View

PATRONI_VERSION = "4.1.5"
"""The Patroni release whose formats we speak; readers branch on it."""
VERSION = "0.1.0"
"""Our own version."""
CAPABILITIES: tuple[str, ...] = ("takeover", "promise")
"""Protocol extensions that this member speaks beyond Patroni's."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The state of a member at the moment somebody asks.

    `now` and all other times are seconds on the member's monotonic clock, `wall` is UTC epoch seconds. `looked_at` is
    when the loop last finished a look (the agent's start, before the first), `api_seen_at` when the API server last
    gave a sign. `lease_until` is the lease of this moment, not of the view. `statuses` are the members' decoded
    `status` annotations.
    """

    me: Me
    now: float
    wall: float
    view: View | None = None
    lease_until: float | None = None
    looked_at: float = 0.0
    api_seen_at: float | None = None
    statuses: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def settings(self) -> ClusterSettings:
        """The cluster settings; the defaults before the first look."""
        return self.view.settings if self.view is not None else ClusterSettings()

    @property
    def leads(self) -> bool:
        """Whether this member's lease runs at this moment."""
        return self.lease_until is not None and self.now < self.lease_until

    @property
    def cluster_known(self) -> bool:
        """Whether the API server was heard within the last ttl: older knowledge answers no role question."""
        if self.view is None or self.api_seen_at is None:
            return False
        return self.now - self.api_seen_at <= self.settings.ttl

    @property
    def last_seen(self) -> int:
        """When the API server was last heard, in UTC epoch seconds; 0 for never."""
        if self.api_seen_at is None:
            return 0
        return int(self.wall - max(0.0, self.now - self.api_seen_at))

    @property
    def failsafe_active(self) -> bool:
        """Whether failsafe mode carries this member, as primary or as replica: confirmed within the last ttl."""
        if self.view is None:
            return False
        moments = (self.view.failsafe.confirmed_at, self.view.failsafe.heard_at)
        return any(moment is not None and self.now - moment <= self.settings.ttl for moment in moments)
