"""The words for a member's state and role (after Patroni), derived from a view."""

from __future__ import annotations

from matriarch.ha.view import PostgresView, View
from matriarch.words.labels import READS, ROLE, ROLE_PRIMARY, ROLE_REPLICA

STATES: tuple[str, ...] = (
    "initializing new cluster",
    "initdb failed",
    "running custom bootstrap script",
    "custom bootstrap failed",
    "creating replica",
    "running",
    "starting",
    "starting after custom bootstrap",
    "start failed",
    "restarting",
    "restart failed",
    "stopping",
    "stopped",
    "stop failed",
    "crashed",
    "rewinding",
)
"""In the order of their metric's values, which start at 0; those after `crashed` are no words of Patroni's."""

ROLES: tuple[str, ...] = ("primary", "standby_leader", "replica", "demoted", "uninitialized", "promoted")

_ACTIVITY_STATES = {
    "bootstrap": "initializing new cluster",
    "clone": "creating replica",
    "restart": "restarting",
    "rewind": "rewinding",
}
"""What an activity is called while it runs. An activity's name is its action's class name; case does not matter."""


def state_of(view: View) -> str:
    """The state of the local Postgres."""
    if view.activity is not None:
        state = _ACTIVITY_STATES.get(view.activity.name.lower())
        if state is not None:
            return state
    return _process_state(view.postgres)


def _process_state(postgres: PostgresView) -> str:
    if postgres.process != "stopped":
        return postgres.process
    if postgres.failures > 0:
        return "start failed"
    crashed = postgres.control is not None and not postgres.control.clean
    return "crashed" if crashed else "stopped"


def role_of(view: View) -> str:
    """The role of the local Postgres: what it is when that is known, else what its data was last used for."""
    postgres = view.postgres
    if postgres.data == "empty" and postgres.process == "stopped":
        return "uninitialized"
    if postgres.in_recovery is not None and postgres.process != "stopped":
        follower = "standby_leader" if leads_standby(view) else "replica"
        return follower if postgres.in_recovery else "primary"
    if postgres.process != "stopped":
        # Up but not answering. Whoever leads was told to be primary; nobody else was.
        return "primary" if view.lock.leader == view.me.name else "replica"
    if postgres.control is not None and postgres.control.was_primary:
        return "primary" if view.lock.leader == view.me.name else "demoted"
    return "replica"


def leads_standby(view: View) -> bool:
    """Whether this member leads a cluster that follows another one."""
    return view.settings.standby_cluster is not None and view.lock.leader == view.me.name


def role_label(view: View) -> str | None:
    """The value of the pod's role label; None takes the label away (after Patroni)."""
    if view.lock.leader == view.me.name:
        return ROLE_PRIMARY
    if state_of(view) == "running" and role_of(view) == "replica":
        return ROLE_REPLICA
    return None


def member_labels(view: View) -> dict[str, str | None]:
    """The labels by which Services select this member; None takes one away."""
    role = role_label(view)
    reads = role == ROLE_REPLICA and not view.me.tags.noloadbalance
    return {ROLE: role, READS: "true" if reads else None}
