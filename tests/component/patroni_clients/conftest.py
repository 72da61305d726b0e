"""One cluster for all tests of a file: real processes, and the clients that were made for Patroni."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from component.patroni_clients.site import CLUSTER, NAMESPACE, Site
from component.postgres.member import SECRETS
from e2e.clients.patronictl import Patronictl


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    made = Site()
    try:
        made.start()
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def ctl(site: Site) -> Patronictl:
    made = Patronictl(str(site.kubeconfig), NAMESPACE, CLUSTER, {"PGPASSWORD": SECRETS["app"][1]})
    try:
        made.wait_healthy(3, within=90)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{site.logs()}") from error
    return made
