"""`GET /metrics`: Patroni's metrics by their names, and our own beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from matriarch.ha.documents import VERSION, patroni_samples, render
from matriarch_agent.rest.face import Face


class Exposition:
    """All metrics of a member, collected when asked."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_AgentCollector(face))
        ProcessCollector(registry=self._registry)

    def text(self) -> str:
        """Prometheus' text format."""
        facts = self._face.facts()
        ours = generate_latest(self._registry).decode()
        return render(patroni_samples(facts), facts.me.cluster, facts.me.name) + ours


class _AgentCollector(Collector):
    """Reads the agent's counters at scrape time, so that nothing is counted twice."""

    def __init__(self, face: Face) -> None:
        self._face = face

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: collecting needs an agent that has started."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        facts, counters = self._face.facts(), self._face.counters()
        own = (facts.me.cluster, facts.me.name)
        left = 0.0 if facts.lease_until is None else max(0.0, facts.lease_until - facts.now)
        yield _gauge("matriarch_lease_seconds_left", "Seconds until the lease ends; 0 without one.", own, left)
        age = max(0.0, facts.now - facts.looked_at)
        yield _gauge("matriarch_loop_age_seconds", "Seconds since the loop last finished a look.", own, age)
        epoch = facts.view.lock.epoch if facts.view is not None else 0
        yield _gauge("matriarch_lock_epoch", "How often the lock has changed hands.", own, epoch)
        yield _counter("matriarch_decisions", "Decisions by reason.", own, "reason", counters.decisions)
        yield _counter("matriarch_lock_renewals", "Lock renewals by outcome.", own, "outcome", counters.renewals)
        rounds = counters.failsafe_rounds
        yield _counter("matriarch_failsafe_rounds", "Failsafe rounds by outcome.", own, "outcome", rounds)
        info = GaugeMetricFamily(
            "matriarch_info", "Always 1; the version is a label.", None, ["scope", "name", "version"]
        )
        info.add_metric((*own, VERSION), 1)
        yield info


def _gauge(name: str, words: str, own: tuple[str, str], value: float) -> Metric:
    family = GaugeMetricFamily(name, words, labels=["scope", "name"])
    family.add_metric(own, value)
    return family


def _counter(name: str, words: str, own: tuple[str, str], label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, words, labels=["scope", "name", label])
    for key, value in sorted(values.items()):
        family.add_metric((*own, key), value)
    return family
