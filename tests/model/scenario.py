"""What one exploration is about: a cluster, what may happen in it and how often, and the protocol that it keeps."""

from __future__ import annotations

from dataclasses import dataclass, field

from model.state import PRIMARY, REPLICA, Agent, Budget, Lock, Members, Server, State, SyncObject


@dataclass(frozen=True, slots=True)
class Protocol:
    """The steps that can be left out or swapped. All False: the protocol as it is meant to be."""

    # --- the candidate
    no_promise: bool = False
    receiver_stays_open: bool = False
    promise_dropped_early: bool = False
    promise_forgotten: bool = False
    """An agent that restarts does not know any more what its former process promised."""
    no_claim: bool = False
    old_claim_reused: bool = False
    lock_reread_at_take: bool = False
    minority: bool = False
    least_advanced: bool = False
    positions_asked_too_early: bool = False
    """Before the receivers are closed; before a race, before the lock is free."""
    no_write_before_promotion: bool = False
    promotion_trusts_a_new_list: bool = False
    """After the take the sync object is read anew, and being listed in it is enough."""
    released_after_early_take: bool = False
    """Quorum mode: a candidate that does not go on gives the lock back at once."""
    promoted_open: bool = False
    """Strict mode: the promoted server lets commits through until its agent closes it."""
    # --- the primary
    claim_ignored: bool = False
    no_renewal_before_override: bool = False
    names_first: bool = False
    """synchronous_standby_names changes although the sync object still relies on what is in force."""
    object_first: bool = False
    """The sync object changes although what is in force does not support it yet."""
    no_wait: bool = False
    """The sync object tells of standbys that have not confirmed everything."""
    unanswered_is_answered: bool = False
    restart_unsynchronised: bool = False
    # --- everybody
    sync_without_cas: bool = False
    failsafe_by_majority: bool = False
    failsafe_despite_promise: bool = False
    binding_ignored: bool = False
    """A member that has accepted a failsafe claim takes over all the same."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """`voters`, `quorum`, `needed`: what the sync object tells, and commits wait for, at the start. `empty`: members
    whose data is new. `count`: synchronous_node_count. `grows`, `shrinks`, `changes`: whether the first primary may add
    members, let them go, change the set at all. `candidates`: who tries to take over early; `silent`: who never
    promises. `expiry`: whether the lock's TTL may pass; `failsafe`: whether a primary may ask for leave to go on.
    """

    title: str
    members: int
    voters: Members
    quorum: int = 0
    needed: int = 1
    any_k: bool = False
    strict: bool = False
    count: int = 1
    empty: Members = 0
    budget: Budget = field(default_factory=lambda: Budget(writes=1))
    grows: bool = False
    shrinks: bool = True
    changes: bool = True
    candidates: Members = 0b1111
    silent: Members = 0
    expiry: bool = False
    failsafe: bool = False
    protocol: Protocol = field(default_factory=Protocol)

    def start(self) -> State:
        """Member a leads, and everybody who is synchronous has the first record."""
        sync = SyncObject(0, self.voters, self.quorum)
        servers = [Server((1,), PRIMARY, names=self.voters, needed=self.needed, mark=1)]
        servers += [Server(() if self.empty >> m & 1 else (1,), REPLICA, upstream=0) for m in range(1, self.members)]
        agents = [Agent(seen=sync, fresh=True)] + [Agent() for _ in range(1, self.members)]
        return State(Lock(0), sync, tuple(servers), tuple(agents), (1,), 0, self.budget)
