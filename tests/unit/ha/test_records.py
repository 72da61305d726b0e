"""The lock objects' wire format: what is written is read back, and nonsense is survived."""

from dataclasses import replace

import pytest

from matriarch.ha import records
from matriarch.ha.view import Me

ME = Me("demo-1", "demo", "10.0.0.1", "uid-1", "n1")
OTHER = Me("demo-2", "demo", "10.0.0.2", "uid-2", "n2")
RENEWAL = records.Renewal(
    "2026-11-21T10:00:00.000001+00:00", 9.0, 1000, None, {"demo-1": "http://10.0.0.1:8008/patroni"}
)


def stored(body: records.Object, version: str = "7") -> records.Object:
    return records.without_nulls(records.with_version(body, version))


def test_an_acquired_lock_is_read_back() -> None:
    lock = records.read_lock(stored(records.acquire_body(ME, RENEWAL, None)))
    assert (lock.holder, lock.version, lock.ttl, lock.epoch, lock.optime) == ("demo-1", "7", 9, 0, 1000)
    assert (lock.address_uid, lock.address_node) == ("uid-1", "n1")
    assert lock.failsafe == {"demo-1": "http://10.0.0.1:8008/patroni"}


def test_others_are_told_no_shorter_ttl_than_the_holder_counts() -> None:
    for ttl, told in ((9.0, 9), (8.5, 9), (3.4, 4), (0.2, 1)):
        lock = records.read_lock(stored(records.renew_body(ME, replace(RENEWAL, ttl=ttl), True)))
        assert lock.ttl == told


def test_without_failsafe_mode_no_topology_is_left() -> None:
    assert records.renew_body(ME, replace(RENEWAL, failsafe=None), True)["metadata"]["annotations"]["failsafe"] is None


def test_the_epoch_grows_only_when_the_holder_changes() -> None:
    first = records.read_lock(stored(records.acquire_body(ME, RENEWAL, None)))
    again = records.read_lock(stored(records.acquire_body(ME, RENEWAL, first)))
    other = records.read_lock(stored(records.acquire_body(OTHER, RENEWAL, first)))
    assert (first.epoch, again.epoch, other.epoch) == (0, 0, 1)
    assert again.acquire_time == first.acquire_time


def test_a_release_leaves_the_address_to_the_successor() -> None:
    body = stored(records.release_body(2000, OTHER))
    lock = records.read_lock(body)
    assert (lock.holder, lock.optime) == (None, 2000)
    assert records.subset_is_mine(body, OTHER)
    assert "subsets" not in records.release_body(2000, None)


@pytest.mark.parametrize("annotations", [None, {}, {"leader": "", "ttl": "x", "optime": "-", "failsafe": "[" * 99999}])
def test_nonsense_is_an_unlocked_cluster(annotations: dict[str, str] | None) -> None:
    lock = records.read_lock({"metadata": {"annotations": annotations, "resourceVersion": "3"}, "subsets": None})
    assert (lock.holder, lock.ttl, lock.optime, lock.failsafe, lock.version) == (None, None, None, None, "3")


def test_a_sync_object_is_read_back_and_each_write_is_a_change() -> None:
    body = records.sync_body(ME.cluster_labels, "demo-1", ("demo-2", "demo-0"), 1, "now")
    sync = records.read_sync(stored(body))
    assert (sync.leader, sync.standbys, sync.quorum, sync.claim) == ("demo-1", ("demo-0", "demo-2"), 1, None)
    assert body != records.sync_body(ME.cluster_labels, "demo-1", ("demo-2", "demo-0"), 1, "later")


@pytest.mark.parametrize("text", ["x", "{}", "[1]", '[["a", 1]]', "[" * 99999])
def test_an_unreadable_history_is_none(text: str) -> None:
    assert records.read_history(text) is None


def test_slots_and_what_is_retained_are_read_back_and_go_only_with_a_known_position() -> None:
    """A renewal while Postgres does not answer must not erase them."""
    told = records.Renewal("now", 9.0, 1000, {"demo_0": 900, "demo_1": 1000}, None, ("demo_7", "demo_8"))
    body = stored(records.renew_body(ME, told, True))
    lock = records.read_lock(body)
    assert (lock.slots, lock.retained) == ({"demo_0": 900, "demo_1": 1000}, ("demo_7", "demo_8"))
    assert body["metadata"]["annotations"]["retain_slots"] == '["demo_7", "demo_8"]', "Patroni's own spelling"
    silent = records.renew_body(ME, records.Renewal("now", 9.0), True)["metadata"]["annotations"]
    assert not {"optime", "slots", "retain_slots"} & silent.keys()


@pytest.mark.parametrize("text", ["x", "[1]", '{"a": "1", "b": -1, "c": true, "d": 1.5, "e": null}', "[" * 99999, "7"])
def test_nonsense_about_slots_is_no_slots(text: str) -> None:
    lock = records.read_lock({"metadata": {"annotations": {"slots": text, "retain_slots": text}}})
    assert lock.slots == {} and lock.retained == ()


def test_a_renewal_while_postgres_does_not_answer_erases_no_position() -> None:
    """What is not known is left as it stands: a null would take the last known position, and the slots', away."""
    silent = records.Renewal("2026-11-21T10:00:03.000001+00:00", 9.0, None, None, None)
    notes = records.renew_body(ME, silent, True)["metadata"]["annotations"]
    assert set(notes) == {"leader", "renewTime", "ttl", "failsafe"}


def test_the_address_is_written_again_only_when_it_is_wrong() -> None:
    """Each change of it is one that kube-proxy has to apply."""
    assert "subsets" not in records.renew_body(ME, RENEWAL, True)
    assert records.subset_is_mine(records.renew_body(ME, RENEWAL, False), ME)
    assert not records.subset_is_mine({"subsets": None}, ME)
    assert not records.subset_is_mine(records.renew_body(OTHER, RENEWAL, False), ME)
