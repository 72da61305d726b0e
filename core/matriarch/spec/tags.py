"""Tags of single members in the spec of a PostgresCluster."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from matriarch.spec import rules
from matriarch.words.names import member_name

Ordinal = Annotated[int, Meta(ge=0, le=8)]
Priority = Annotated[int, Meta(ge=0, le=100)]
PATRONIS = frozenset(
    {
        "nofailover",
        "nosync",
        "noloadbalance",
        "clonefrom",
        "nostream",
        "replicatefrom",
        "failover_priority",
        "sync_priority",
    }
)
TagName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", min_length=1, max_length=63)]
TagValue = Annotated[str, Meta(min_length=1, max_length=128, pattern=rules.NO_CONTROL)]


class MemberTags(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What one member may become, and whom it serves."""

    ordinal: Annotated[Ordinal, Meta(description="The number at the end of the member's name.")]
    no_failover: Annotated[bool, Meta(description="It is never promoted.")] = False
    no_sync: Annotated[bool, Meta(description="It is never a synchronous replica.")] = False
    no_load_balance: Annotated[
        bool,
        Meta(description="No reads: the replicas' Service leaves it out, its replica health checks fail."),
    ] = False
    clone_from: Annotated[bool, Meta(description="New members copy from it rather than from the primary.")] = False
    failover_priority: Annotated[
        Priority, Meta(description="Of members that are equally far, the one with the highest is promoted; 0: never.")
    ] = 1
    sync_priority: Annotated[
        Priority, Meta(description="Replicas with the highest become synchronous first; 0: never.")
    ] = 1
    replicate_from: Annotated[
        Ordinal | None,
        Meta(description="The member that it streams from; the primary while that one does not stream itself."),
    ] = None
    custom: Annotated[
        dict[TagName, TagValue],
        Meta(
            max_length=20,
            description="Tags of your own. The member shows them, and health checks can ask for them (?tag_zone=a). "
            "Under the names of Patroni's tags nothing is shown: those are the fields above.",
        ),
    ] = {}


def wire_tags(cluster: str, members: tuple[MemberTags, ...]) -> dict[str, dict[str, Any]]:
    """The tags of each member in wire names (after Patroni), by the member's name."""
    return {member_name(cluster, one.ordinal): _wire(cluster, one) for one in members}


def _wire(cluster: str, one: MemberTags) -> dict[str, Any]:
    flags = {
        "nofailover": one.no_failover,
        "nosync": one.no_sync,
        "noloadbalance": one.no_load_balance,
        "clonefrom": one.clone_from,
    }
    numbers = {"failover_priority": one.failover_priority, "sync_priority": one.sync_priority}
    found: dict[str, Any] = {name: value for name, value in one.custom.items() if name not in PATRONIS}
    found.update({name: True for name, on in flags.items() if on})
    found.update({name: number for name, number in numbers.items() if number != 1})
    if one.replicate_from is not None:
        found["replicatefrom"] = member_name(cluster, one.replicate_from)
    return found
