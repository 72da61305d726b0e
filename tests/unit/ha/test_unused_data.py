"""Data that was initialised and never used is as good as none (rule 7), except under the lock it was made under."""

from dataclasses import replace

from unit.ha.document_cases import facts_of
from unit.ha.views import SYSID, a_view, answer, leading, lock, poll, stopped

from matriarch.ha.actions import Clone, PollPeers, WriteInitialize
from matriarch.ha.decide import decide
from matriarch.ha.documents.reports import patroni_document
from matriarch.ha.reasons import Reason
from matriarch.ha.view import ConfigView, LockView, Upstream, View

DEMO_0 = Upstream("demo-0", "10.0.0.0")
NEW = ConfigView(True, "5", None, None)
UNUSED = stopped("shut down", unborn=True)


def told(view: View) -> object:
    """What peers are told of the data."""
    return patroni_document(facts_of(view))["matriarch"]["data"]


def test_it_gives_way_to_the_clusters_data() -> None:
    other = ConfigView(True, "5", "1111111111111111111", ())
    assert decide(a_view(config=other, postgres=stopped(unborn=True))).actions == (Clone(DEMO_0),)
    assert decide(a_view(config=other, postgres=stopped())).reason == Reason.FOREIGN_DATA


def test_it_does_not_lead_once_its_initialisation_is_not_on_record() -> None:
    """The lock was lost, and the record deleted: somebody else may have begun the cluster meanwhile."""
    lost = a_view(config=NEW, lock=LockView(), postgres=UNUSED)
    assert (decide(lost).actions, decide(lost).facts) == ((PollPeers(),), "does anybody have data?")
    with_data = replace(lost, poll=poll(answer("demo-0"), answer("demo-2", empty=True)))
    assert (decide(with_data).actions, decide(with_data).reason) == ((), Reason.WAITING_FOR_BOOTSTRAP)
    assert told(lost) == "empty", "two that began wait for each other else"


def test_under_the_own_lock_it_is_gone_on_with() -> None:
    held = leading(config=replace(NEW, initialize=""), lock=lock("demo-1", optime=None), postgres=UNUSED)
    assert decide(held).actions == (WriteInitialize(SYSID, "5"),)
    assert told(held) == "present"


def test_a_copy_of_another_cluster_may_be_the_only_one_that_is_left() -> None:
    copied = a_view(config=NEW, lock=LockView(), postgres=stopped("shut down in recovery", unborn=True))
    assert decide(copied).reason != Reason.ASKING_PEERS
    assert told(copied) == "present"
