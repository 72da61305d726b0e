"""Members on real programs, run as the `postgres` user."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from component.postgres.member import Members, major
from component.postgres.unprivileged import as_postgres


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of what an older server lacks are left out there, and counted as deselected."""
    needing = {item: mark.args[0] for item in items for mark in item.iter_markers("needs_postgres")}
    away = [item for item, least in needing.items() if least > major()] if needing else []
    if away:
        config.hook.pytest_deselected(items=away)
        items[:] = [item for item in items if item not in away]


@pytest.fixture(autouse=True)
def unprivileged() -> Iterator[None]:
    with as_postgres():
        yield


@pytest.fixture
async def members(unprivileged: None) -> AsyncIterator[Members]:
    made = Members()
    try:
        yield made
    finally:
        await made.end()
        made.remove()
