from pathlib import Path

import pytest

from matriarch.words.errors import QueryFailed
from matriarch.words.lsn import parse_lsn
from matriarch_agent.postgres.controldata import _parsed, record_end
from matriarch_agent.postgres.history import parse_history
from matriarch_agent.postgres.observe import read_facts

SEGMENT = 16 << 20
FOUND = {
    "Database cluster state": "in production",
    "Database system identifier": "7710557087233791461",
    "Latest checkpoint location": "0/3000098",
    "Latest checkpoint's REDO location": "0/3000060",
    "Latest checkpoint's TimeLineID": "3",
    "Minimum recovery ending location": "0/0",
    "Min recovery ending loc's timeline": "0",
    "Data page checksum version": "1",
    "Bytes per WAL segment": str(SEGMENT),
    "max_connections setting": "100",
    "max_locks_per_xact setting": "64",
}


@pytest.mark.parametrize(
    ("state", "base_backup", "primary", "clean"),
    [
        ("in production", False, True, False),
        ("shut down", False, True, True),
        ("in crash recovery", False, True, False),
        ("shutting down", False, True, False),
        ("in production", True, False, False),
        ("shut down in recovery", False, False, True),
        ("in archive recovery", False, False, False),
    ],
)
def test_states(state: str, base_backup: bool, primary: bool, clean: bool) -> None:
    data = _parsed({**FOUND, "Database cluster state": state}, base_backup=base_backup).data
    assert (data.was_primary, data.clean) == (primary, clean)


def test_fields() -> None:
    control = _parsed(FOUND, base_backup=False)
    assert control.data.sysid == "7710557087233791461" and control.data.timeline == 3 and control.data.checksums
    assert control.data.redo_lsn == parse_lsn("0/3000060")
    assert control.shared_memory == {"max_connections": 100, "max_locks_per_transaction": 64}


def test_right_after_a_promotion_the_timeline_is_the_new_one() -> None:
    found = {**FOUND, "Min recovery ending loc's timeline": "4", "Minimum recovery ending location": "0/30000F0"}
    assert _parsed(found, base_backup=False).data.timeline == 4


def test_a_stopped_standby_ends_where_its_recovery_does() -> None:
    found = {**FOUND, "Database cluster state": "shut down in recovery", "Minimum recovery ending location": "1/5"}
    assert _parsed(found, base_backup=False).data.end_lsn == parse_lsn("1/5")


@pytest.mark.parametrize("missing", sorted(set(FOUND) - {"max_connections setting", "max_locks_per_xact setting"})[:3])
def test_an_unknown_format_is_an_error(missing: str) -> None:
    found = {key: value for key, value in FOUND.items() if key != missing}
    if missing in ("Data page checksum version",):
        assert not _parsed(found, base_backup=False).data.checksums
    else:
        with pytest.raises((KeyError, ValueError)):
            _parsed(found, base_backup=False)


@pytest.mark.parametrize(
    ("start", "length", "end"),
    [
        ("0/3000028", 114, "0/30000A0"),
        ("0/3000030", 112, "0/30000A0"),
        # 40 bytes on this page, 74 on the next after its header of 24.
        ("0/3001FD8", 114, "0/3002068"),
        # Exactly to the end of a page.
        ("0/3001F88", 120, "0/3002000"),
        # Over a segment's end: the header there has 40 bytes.
        ("0/3FFFFD8", 114, "0/4000078"),
    ],
)
def test_where_a_record_ends(start: str, length: int, end: str) -> None:
    assert record_end(parse_lsn(start), length, SEGMENT) == parse_lsn(end)


def test_history() -> None:
    entries = parse_history("1\t0/3000098\tno recovery target specified\n\n# x\n2\t0/5000000\tbefore 2000-01-01\n")
    assert [(entry.timeline, entry.lsn) for entry in entries] == [(1, 0x3000098), (2, 0x5000000)]
    with pytest.raises(QueryFailed):
        parse_history("nonsense")


def test_a_standby_without_a_receiver_does_not_guess_its_timeline(tmp_path: Path) -> None:
    answer = """{"recovery": true, "lsn": null, "insert_lsn": null, "flush_lsn": null, "walfile": null,
      "received": 10, "replayed": 12, "paused": true, "startup": "RecoveryRetrieveRetryInterval",
      "receiver": null, "checkpoint_timeline": 1, "recovery_timeline": 1, "standbys": [], "slots": [],
      "sync": "", "upstream": null, "version": 170000, "replayed_at": null, "restore_command": "", "started": "x",
      "pending": null}"""
    facts = read_facts(answer)
    assert (facts.timeline, facts.lsn, facts.streaming, facts.upstream, facts.pending) == (None, 12, False, None, None)
    assert facts.replay_paused and facts.at_end, "it waits for more, so it has replayed all that is here"
    assert not read_facts(answer.replace("RecoveryRetrieveRetryInterval", "RecoveryPause")).at_end
