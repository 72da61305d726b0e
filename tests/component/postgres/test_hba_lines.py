"""Our check of pg_hba lines beside what a real server makes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from component.postgres.member import QUICK, Members

from matriarch.config import hba
from matriarch.config.hba import render_hba
from matriarch_agent.ports import StartMode
from matriarch_agent.postgres.local import LocalPostgres

pytestmark = pytest.mark.component

ADDRESSES = """
all; "all"; samehost; samenet; "samenet"; ALL; db; db.example.org; .example.org; 10a; a-1; ""
10.0.0.0/8; 10.1.2.3/8; "10.0.0.0/8"; 0.0.0.0/0; 10.0.0.0/08; 10.0.0.0/032; 10.0.0.0/33; 10.0.0.0/255.0.0.0; 10.0.0.0/
10.0.0.0/+8; 10.0.0.0/8/8; 10/8; 10.1/16; 0/0; 010.0.0.0/8; db/24; samenet/24; all/0; 10.0.0.0/8,11.0.0.0/8
10.0.0.1; 10.0.0; 10.1; 0; 0xa; 0xa.1; 0x; 256.1.1.1; 1.2.3.4.5; 010.0.0.1; .10; db 255.0.0.0; samenet 255.0.0.0
10.0.0.0 8; 10.0.0.0 255.0.0.0; 10.0.0.0 255; 10.0.0.0 255.0.255.0; 10.0.0.0 0.0.0.255; 10.0.0.0 all; 10.0 255.0.0.0
10.0.0.0 ffff::; ::1 255.0.0.0; ::1 ffff::; fe80::1%lo ffff::; fe80::1%lo/64; 10.0.0.0 255.0.0.0,255.0.0.0
::1/128; ::/0; ::ffff:10.0.0.1/96; ::/129; ::/ffff::; ::1; 1::3:4:5:6:7:8/64; 1::2:3:4:5:6:7:8/64
"""
WHOM = 'all all;a,b c,d;a, b c;a ,b c;"a b" "C";a"b" c;a"b";"" all;""a;sameuser +group;a,,b c;a# b'
HOW = 'md5;scram-sha-256;reject;"md5";md5,reject;md5"x";MD5;cert;cert map=people;md5 md5;'
KINDS = 'host;hostssl;hostnossl;hostgssenc;hostnogssenc;"host";host,host;HOST'


def lines() -> list[str]:
    addresses = [address.strip() for address in ADDRESSES.strip().replace("\n", ";").split(";")]
    found = {f"host {whom} {address} md5" for whom in WHOM.split(";") for address in addresses}
    for kind in KINDS.split(";"):
        found |= {f"{kind} all all {address} {how}" for address in addresses for how in HOW.split(";")}
    return sorted(line.strip() for line in found)


async def test_every_line_that_is_taken_is_one_that_postgres_can_read(members: Members) -> None:
    """One that it cannot read would be dropped in silence, and would keep it from starting."""
    taken = [line for line in lines() if not render_hba([line], superuser="a", replication="b").refused]
    assert len(taken) > 500
    member = await members.primary()
    (member.place.pgdata / "pg_hba.conf").write_text("\n".join(taken) + "\n")
    rows = await member.postgres._session.rows("select line_number, error from pg_hba_file_rules")
    assert len(rows) == len(taken)
    wrong = {taken[number - 1]: why for number, why in rows if why is not None and "cannot match" not in why}
    assert wrong == {}


async def test_a_line_that_the_server_refused_does_not_keep_it_from_starting(
    members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever our check may fail to see in a line: the server's word is remembered, by the next agent as well."""
    monkeypatch.setattr(hba, "check_line", lambda line: None)
    member = await members.primary()
    bad, good = "host all all 10.1 md5", "host all all 10.0.0.0/8 md5"
    settings = replace(QUICK, pg_hba=(bad, good))
    await member.postgres.apply(settings)
    assert "invalid IP mask" in member.postgres._files.refused[bad]
    await member.postgres.stop(fast=True)
    again = LocalPostgres(member.place, member.init, member._log)
    await again.start(StartMode(primary=True), settings)
    assert set(again._files.refused) == {bad}
    text = (member.place.pgdata / "pg_hba.conf").read_text()
    assert good in text and bad not in text
    await again.apply(QUICK)
    assert again._refused_lines.known == {}, "a person took it out: should it come back, it is tried anew"
    await again.close()
