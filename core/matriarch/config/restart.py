"""The five parameters that size shared memory for transactions: a standby must never have less than its primary had
when it wrote the WAL (after Patroni)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from matriarch.config.quantities import Quantity, parse_quantity

SHARED_MEMORY = (
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_senders",
    "max_worker_processes",
)


class RestartOrder(StrEnum):
    """In which order members restart for a change."""

    ANY = "any"
    """None of the five changes: no order matters."""
    REPLICAS_FIRST = "replicas-first"
    """Something grows: replicas, then the primary."""
    PRIMARY_FIRST = "primary-first"
    """Something shrinks: the primary, then replicas."""
    GROW_THEN_SHRINK = "grow-then-shrink"
    """Both: replicas, the primary, replicas again. In the first round a replica keeps the larger of the new value and
    its control file's (`raised_to`), so what shrinks is still pending there afterwards."""


def restart_order(old: Mapping[str, str], new: Mapping[str, str]) -> RestartOrder:
    """The safe order for going from `old` to `new`. A name absent from either side counts as unchanged."""
    grows = shrinks = False
    for name in SHARED_MEMORY:
        before = parse_quantity(old.get(name, ""), Quantity.COUNT)
        after = parse_quantity(new.get(name, ""), Quantity.COUNT)
        if before is None or after is None:
            continue
        grows = grows or after > before
        shrinks = shrinks or after < before
    if grows and shrinks:
        return RestartOrder.GROW_THEN_SHRINK
    if grows:
        return RestartOrder.REPLICAS_FIRST
    return RestartOrder.PRIMARY_FIRST if shrinks else RestartOrder.ANY


def raised_to(values: Mapping[str, str], least: Mapping[str, int]) -> dict[str, str]:
    """What of `values` has to be raised so that a standby may start: `least` is what its control file says."""
    raised = {}
    for name in SHARED_MEMORY:
        number = parse_quantity(values.get(name, ""), Quantity.COUNT)
        if name in least and (number is None or number < least[name]):
            raised[name] = str(least[name])
    return raised
