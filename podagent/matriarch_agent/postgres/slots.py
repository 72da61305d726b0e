"""Physical replication slots of members."""

from __future__ import annotations

from matriarch.config.quoting import literal
from matriarch.words.errors import QueryFailed
from matriarch_agent.postgres.sql import Session

_PRESENT = "select slot_name, active from pg_get_replication_slots() where slot_type = 'physical' and not temporary"


async def sync_slots(session: Session, want: tuple[str, ...], drop: tuple[str, ...]) -> None:
    """Create what is missing of `want`, with WAL reserved from now on, and drop what of `drop` nobody uses.

    Raises QueryFailed with the first failure after having tried all.
    """
    present = {str(name): bool(active) for name, active in await session.rows(_PRESENT)}
    statements = [
        f"select pg_create_physical_replication_slot({literal(name)}, true)" for name in want if name not in present
    ]
    statements += [f"select pg_drop_replication_slot({literal(name)})" for name in drop if present.get(name) is False]
    problems = []
    for statement in statements:
        try:
            await session.rows(statement)
        except QueryFailed as problem:
            problems.append(str(problem))
    if problems:
        raise QueryFailed("; ".join(problems))
