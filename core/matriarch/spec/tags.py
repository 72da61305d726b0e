"""Tags of single members in the spec of a PostgresCluster."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from matriarch.words.names import member_name

Ordinal = Annotated[int, Meta(ge=0, le=8)]
Priority = Annotated[int, Meta(ge=0, le=100)]


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
    found: dict[str, Any] = {name: True for name, on in flags.items() if on}
    found.update({name: number for name, number in numbers.items() if number != 1})
    if one.replicate_from is not None:
        found["replicatefrom"] = member_name(cluster, one.replicate_from)
    return found
