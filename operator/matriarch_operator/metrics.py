"""The operator's own metrics, in Prometheus' text format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()
LOOKS = Counter("matriarch_operator_looks_total", "Looks at a cluster, by outcome", ["outcome"], registry=REGISTRY)
LOOK_SECONDS = Histogram("matriarch_operator_look_seconds", "Duration of one look at a cluster", registry=REGISTRY)
ACTIONS = Counter("matriarch_operator_actions_total", "Actions carried out, by type", ["action"], registry=REGISTRY)
CLUSTERS = Gauge("matriarch_operator_clusters", "PostgresClusters that are known", registry=REGISTRY)
WAITING = Gauge("matriarch_operator_queue_length", "Clusters that wait for a look", registry=REGISTRY)
LEADING = Gauge("matriarch_operator_leading", "1 when this process is the active one", registry=REGISTRY)
