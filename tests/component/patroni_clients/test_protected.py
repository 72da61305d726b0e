"""patronictl and check_patroni on members with https, client certificates and a password; and members on each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from component.patroni_clients.site import CLUSTER, NAMESPACE, Site
from e2e.clients.certificates import issue
from e2e.clients.check_patroni import OK, CheckPatroni
from e2e.clients.patronictl import Patronictl

pytestmark = pytest.mark.component
LOGIN = {"PATRONI_RESTAPI_USERNAME": "admin", "PATRONI_RESTAPI_PASSWORD": "s3cret"}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    made = Site(2, {"tls": True, "auth": True, "verify_client": "required", "allowlist": ["127.0.0.0/8"]})
    issue(made.folder / "rest" / "tls", list(made.addresses.values()))
    login = made.folder / "rest" / "auth"
    login.mkdir()
    (login / "username").write_text("admin")
    (login / "password").write_text("s3cret")
    try:
        made.start()
        yield made
    finally:
        made.end()


def certificates(site: Site) -> dict[str, str]:
    folder: Path = site.folder / "rest" / "tls"
    return {
        "PATRONI_CTL_CACERT": str(folder / "ca.crt"),
        "PATRONI_CTL_CERTFILE": str(folder / "tls.crt"),
        "PATRONI_CTL_KEYFILE": str(folder / "tls.key"),
    }


def test_patronictl_with_certificate_and_password(site: Site) -> None:
    shown = certificates(site)
    ctl = Patronictl(str(site.kubeconfig), NAMESPACE, CLUSTER, {**shown, **LOGIN})
    leader = ctl.wait_healthy(2, within=90)
    assert "PostgreSQL" in ctl("version", CLUSTER)
    assert "Successfully switched over" in ctl("switchover", CLUSTER, "--leader", leader, "--force")
    assert ctl.wait_healthy(2) != leader, "the members found each other by https, with their certificates"
    member = ctl.leader()
    without_password = Patronictl(str(site.kubeconfig), NAMESPACE, CLUSTER, shown)
    assert "no auth header received" in without_password.run("restart", CLUSTER, member, "--force")[1]
    without_certificate = Patronictl(str(site.kubeconfig), NAMESPACE, CLUSTER, LOGIN)
    assert "Success" not in without_certificate.run("restart", CLUSTER, member, "--force")[1]
    assert f"Success: restart on member {member}" in ctl("restart", CLUSTER, member, "--force")
    ctl.wait_healthy(2)


def test_check_patroni_with_a_certificate(site: Site) -> None:
    folder = site.folder / "rest" / "tls"
    urls = [f"https://{address}:8008" for address in site.addresses.values()]
    shown = ["--cert_file", str(folder / "tls.crt"), "--key_file", str(folder / "tls.key")]
    check = CheckPatroni(urls, *shown, "--ca_file", str(folder / "ca.crt"))
    # The leader may still be restarting in what a member tells.
    check.wait_told(OK, "cluster_has_leader", within=30)
    check.wait_told(OK, "cluster_has_replica", "--critical", "1:", "--sync-critical", "1:", within=30)
    assert CheckPatroni(urls, "--ca_file", str(folder / "ca.crt"))("cluster_has_leader")[0] != OK
