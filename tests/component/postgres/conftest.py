"""Members on real programs, run as the `postgres` user."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from component.postgres.member import Members
from component.postgres.unprivileged import as_postgres


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
