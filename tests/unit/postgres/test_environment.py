"""What the container's environment says, and what it must not say."""

from pathlib import Path

import pytest

from matriarch.ha import records
from matriarch_agent.__main__ import WrongEnvironment, labels_from, me_from, postgres_from
from matriarch_agent.init.client import InitClient
from matriarch_agent.postgres import credentials
from matriarch_agent.postgres.place import Place

POD = {
    "MATRIARCH_MEMBER": "peer-0",
    "MATRIARCH_CLUSTER": "peer",
    "MATRIARCH_POD_IP": "10.0.0.1",
    "MATRIARCH_POD_UID": "uid-1",
}


def test_a_cluster_has_our_labels_or_those_of_the_agent_before_us() -> None:
    assert me_from(POD).cluster_labels == {"application": "matriarch", "cluster-name": "peer"}
    other = me_from(POD | {"MATRIARCH_LABELS": "application=spilo, team=shop,cluster-name=peer"})
    expected = {"application": "spilo", "cluster-name": "peer", "team": "shop"}
    assert other.cluster_labels == expected
    assert records.config_body(other.cluster_labels, initialize="7")["metadata"]["labels"] == expected


def test_the_port_is_called_as_the_service_calls_it() -> None:
    for environ, name in ((POD, "postgresql"), (POD | {"MATRIARCH_SERVICE_PORT_NAME": ""}, None)):
        me = me_from(environ)
        routed = records.subset(me)
        assert routed["ports"][0].get("name") == name
        assert records.subset_is_mine({"subsets": [routed]}, me)
        other = me_from(POD | {"MATRIARCH_SERVICE_PORT_NAME": "pg"})
        assert not records.subset_is_mine({"subsets": [routed]}, other), "nobody would be led there"


@pytest.mark.parametrize("text", ["application", "=x", "a=", "a=b,", "a=b,,c=d", "a=b=c", ","])
def test_labels_that_are_none_are_refused_by_name(text: str) -> None:
    with pytest.raises(WrongEnvironment, match="MATRIARCH_LABELS"):
        labels_from(text)


@pytest.mark.parametrize("path", ["/etc", "../elsewhere", "a/../..", ""])
def test_a_data_directory_outside_the_volume_is_refused_by_name(path: str) -> None:
    environ = POD | {"MATRIARCH_PGDATA": path}
    with pytest.raises(WrongEnvironment, match="MATRIARCH_PGDATA"):
        postgres_from(environ, me_from(environ), InitClient("/nowhere"), lambda event, **facts: None)


def test_role_names_come_from_the_secret_then_from_the_environment(tmp_path: Path) -> None:
    place = Place("p-0", "p", tmp_path, tmp_path, tmp_path, tmp_path, roles={"replication": "standby"})
    assert credentials.role_name(place, "replication") == "standby"
    assert credentials.role_name(place, "superuser") == "postgres"
    (tmp_path / "replication").mkdir()
    (tmp_path / "replication" / "username").write_text("mirror")
    assert credentials.role_name(place, "replication") == "mirror"
