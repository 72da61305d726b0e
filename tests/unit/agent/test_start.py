"""What an agent needs of its environment before it does anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from matriarch_agent.__main__ import WrongEnvironment, me_from
from matriarch_agent.postgres.place import Place

COMPLETE = {
    "MATRIARCH_MEMBER": "demo-0",
    "MATRIARCH_CLUSTER": "demo",
    "MATRIARCH_POD_IP": "10.0.0.1",
    "MATRIARCH_POD_UID": "uid-0",
}


@pytest.mark.parametrize("missing", sorted(COMPLETE))
def test_a_member_without_an_address_or_a_name_does_not_begin(missing: str) -> None:
    """A leader that does not know its own address would take the lock and route nobody to itself."""
    assert me_from(COMPLETE).pod_ip == "10.0.0.1"
    with pytest.raises(WrongEnvironment, match=missing):
        me_from({**COMPLETE, missing: ""})


def test_nothing_of_the_containers_environment_reaches_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may run a function in the database would read it there: the API server's address, tokens, passwords."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("PGPASSWORD", "secret")
    place = Place("demo-0", "demo", tmp_path, tmp_path, tmp_path, tmp_path)
    assert set(place.environment()) == {"PATH", "LC_ALL", "TZ", "HOME"}
