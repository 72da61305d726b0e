"""A replication slot as the server tells of it. Part of the view; see `matriarch.ha.postgres_view`."""

from __future__ import annotations

from matriarch.words.facts import fact


@fact(frozen=True, slots=True)
class Slot:
    """One row of pg_replication_slots. LSNs in bytes; None: the server has none."""

    name: str
    type: str = "physical"
    """`physical` or `logical`."""
    active: bool = False
    restart_lsn: int | None = None
    """From here on the server keeps WAL for it."""
    confirmed_lsn: int | None = None
    """Logical: what its consumer has confirmed."""
    database: str | None = None
    plugin: str | None = None
    holds_rows: bool = False
    """It has an xmin: vacuum keeps the rows that its standby's queries may still see."""
    lost: bool = False
    """The server has removed WAL that it needs: nobody can use it any more."""
    failover: bool = False
    """Logical, from PostgreSQL 17: standbys copy it."""
    synced: bool = False
    """It is such a copy, kept up to date by the server itself."""

    @property
    def logical(self) -> bool:
        """Whether it streams decoded changes."""
        return self.type == "logical"

    @property
    def usable(self) -> bool:
        """Whether a standby could stream through it."""
        return not self.lost and self.restart_lsn is not None
