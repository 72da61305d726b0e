"""What the bench prints."""

from __future__ import annotations

from bench.__main__ import parse
from bench.faults import FAULTS, Isolated, Outcome
from bench.report import Results, as_json, as_table

RESULTS: Results = {
    "matriarch": {
        "switchover": [Outcome(0.2, 900, 0, []), Outcome(0.4, 800, 0, [])],
        "partition-async": "never healed",
    },
    "patroni": {"switchover": [Outcome(2.5, 700, None, [])]},
}


def test_the_worst_gap_and_all_rows() -> None:
    entry = as_json(RESULTS)["matriarch"]["switchover"]
    assert (entry["gap_s"], entry["acknowledged"], entry["lost"]) == (0.4, 1700, 0)


def test_what_could_not_be_counted_is_not_zero() -> None:
    assert as_json(RESULTS)["patroni"]["switchover"]["lost"] is None


def test_a_failed_fault_says_why() -> None:
    entry = as_json(RESULTS)["matriarch"]["partition-async"]
    assert entry["gap_s"] is None
    assert entry["error"] == "never healed"


def test_the_isolated_session_is_told_apart() -> None:
    runs = [Outcome(28.0, 500, 0, [], Isolated(300, 290, 27.5))]
    entry = as_json({"patroni": {"partition-async": runs}})["patroni"]["partition-async"]
    assert entry["isolated_session"] == {"acknowledged_after_the_cut": 300, "lost": 290, "answered_for_s": 27.5}
    assert "(+290 local)" in as_table({"patroni": {"partition-async": runs}})


def test_the_table_has_a_line_for_each_measured_fault() -> None:
    lines = as_table(RESULTS).splitlines()
    assert [line.split()[0] for line in lines[3:]] == ["switchover", "partition-async"]
    assert "failed: never healed" in lines[4]


def test_everything_is_measured_unless_narrowed() -> None:
    assert parse([]).fault == [fault.name for fault in FAULTS]
    assert parse([]).system == ["matriarch", "patroni"]
    narrowed = parse(["--system", "patroni", "--fault", "switchover", "--runs", "3", "--json"])
    assert (narrowed.system, narrowed.fault, narrowed.runs, narrowed.json) == (["patroni"], ["switchover"], 3, True)
