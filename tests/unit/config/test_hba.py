import pytest
from hypothesis import given
from hypothesis import strategies as st

from matriarch.config.hba import check_ident, check_line, render_hba, render_ident
from matriarch.words.errors import Invalid

OWN_LOCAL = [
    'local all "postgres" peer map=matriarch',
    'local replication "postgres" peer map=matriarch',
    "local all all scram-sha-256",
]


@pytest.mark.parametrize(
    "line",
    [
        "host all all all scram-sha-256",
        "hostssl app app 10.0.0.0/8 md5",
        "hostnossl all all 0.0.0.0/0 reject",
        "host a,b  x,y\t::1/128 scram-sha-256",
        "host all all 10.0.0.0 255.0.0.0 scram-sha-256",
        "host all all .example.com reject",
        'host "my db" "User" samenet reject',
        "host all +group samehost scram-sha-256",
        "host all all 10.0.0.0 255.255.0.255 md5",
        "host all all fe80:: ffff:: md5",
        'host all all "10.0.0.0/8" md5',
        "host all all 10a.example md5",
    ],
)
def test_good_lines(line: str) -> None:
    check_line(line)
    assert line in render_hba([line], superuser="postgres", replication="replicator").text


@pytest.mark.parametrize(
    "line",
    [
        "host all all all trust",
        "host all all all password",
        "local all all trust",
        "local all all scram-sha-256",
        "host all all all",
        "host all all 10.0.0.0/33 md5",
        "host all all 10.0.0.1 md5",
        "host all all nosuch_host! md5",
        "host @file all all md5",
        "host all a,@file all md5",
        'host "/(" all all md5',
        "host all all all md5 x=y",
        "host all all all cert",
        "hostssl all all all cert map=people clientcert=verify-ca",
        "hostssl all all all cert map=matriarch",
        "hostssl all all all peer",
        "host all all all md5 # comment",
        'host "all all all md5',
        "host all, , all all md5",
        "host all all all md5,",
        "include /etc/passwd",
        "host all all all md5 \\",
        "host all all all md5\x00",
        "host all all all md5\nhost all all all trust",
        "host " + "x" * 2000 + " all all md5",
        "host all all 10.0.0.0/255.0.0.0 md5",
        "host all all ::/ffff:: md5",
        "host all all 10.0.0.0/ md5",
        "host all all 10.0.0.0/+8 md5",
        "host all all 10.0.0.0/\u0668 md5",
        "host all all ::/129 md5",
        "host all all db.example/24 md5",
        "host all all samenet/24 md5",
        "host all all 10.0.0 md5",
        "host all all 10.0.0 255.0.0.0 md5",
        "host all all 10.1 md5",
        "host all all 0 md5",
        "host all all 0xa md5",
        "host all all 010.0.0.1 255.0.0.0 md5",
        "host all all 10/8 md5",
        "host all all 10.0.0.0 8 md5",
        "host all all 10.0.0.0 255 md5",
        "host all all 10.0.0.0 ffff:: md5",
        "host all all ::1 255.0.0.0 md5",
        "host all all ::1 md5",
        "host all all fe80::1%lo ffff:: md5",
        "host all all fe80::1%lo/64 md5",
        "host all all 10.0.0.0/8,11.0.0.0/8 md5",
        "host all all 10.0.0.0 255.0.0.0,255.0.0.0 md5",
        "host,hostssl all all all md5",
        "host all all all md5,reject",
        "host a ,b all md5",
        'host a"b" all md5',
        'host ""a all md5',
    ],
)
def test_bad_lines(line: str) -> None:
    with pytest.raises(Invalid):
        check_line(line)
    hba = render_hba([line], superuser="postgres", replication="replicator")
    assert len(hba.refused) == 1
    assert hba.text == render_hba([], superuser="postgres", replication="replicator").text


@given(st.lists(st.text() | st.text("hostalmd5 ,@\"'#\\/\n\t10.:+rusc-26")))
def test_no_text_ever_lets_anybody_in_without_a_password(lines: list[str]) -> None:
    text = render_hba(lines, superuser="postgres", replication="replicator").text
    first, *rules = text.split("\n")
    assert first.startswith("#")
    assert [rule for rule in rules if rule.startswith("local")] == OWN_LOCAL
    for rule in rules:
        assert not rule or rule in OWN_LOCAL or rule.split()[-1] in ("scram-sha-256", "md5", "reject")


def test_ours_come_first_and_last() -> None:
    text = render_hba(["host all all all reject"], superuser="postgres", replication="replicator").text
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines[:4] == [
        'local all "postgres" peer map=matriarch',
        'local replication "postgres" peer map=matriarch',
        'host replication "replicator" all scram-sha-256',
        'host postgres "replicator" all scram-sha-256',
    ]
    assert lines[4] == "host all all all reject"
    assert lines[-1] == "host all all all scram-sha-256"


def test_a_map_is_used_with_certificates() -> None:
    check_line("hostssl all all 10.0.0.0/8 cert map=people")
    check_line("hostssl all all 10.0.0.0/8 cert")


def test_maps_come_after_our_own() -> None:
    ident = render_ident(["people alice app", 'people "Bob B" "app"', "# x"], "999", superuser="postgres")
    assert ident.text.splitlines()[1:] == ['matriarch "999" "postgres"', "people alice app", 'people "Bob B" "app"']
    assert not ident.refused


@pytest.mark.parametrize(
    "line",
    [
        "people alice",
        "people alice app extra",
        "matriarch alice postgres",
        "Matriarch alice postgres",
        "people /^(.*)@x$ \\1",
        "people @file app",
        "people a,b app",
        "include_dir /etc x",
        'people "alice app',
        "people alice app # comment",
        "people alice app\nmatriarch x postgres",
    ],
)
def test_bad_maps(line: str) -> None:
    """A file that cannot be loaded would leave the agent without its way in."""
    with pytest.raises(Invalid):
        check_ident(line)
    assert len(render_ident([line], "999", superuser="postgres").refused) == 1


@pytest.mark.parametrize(
    "options",
    [
        "ldap ldapserver=a ldapbindpasswd=hunter2",
        'ldap ldapbindpasswd="hunter2 and more" ldapserver=a',
        'ldap "ldapbindpasswd=some hunter2"',
        'radius radiusservers=a radiussecrets="hunter2,hunter2"',
        "radius RadiusSecrets=hunter2,x",
        'radius radiussecrets="x hunter2',
    ],
)
def test_a_refused_line_is_named_without_its_password(options: str) -> None:
    """It goes to the log, and to the pod's annotation, which more people may read than the settings."""
    refused = render_hba([f"host all all all {options}"], superuser="postgres", replication="replicator").refused
    ((line, why),) = refused.items()
    assert line.startswith("host all all all ") and line.endswith("=***") and "hunter2" not in f"{line}{why}"
