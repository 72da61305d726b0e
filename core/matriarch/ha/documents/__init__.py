"""What members tell each other, people and monitoring, and how it is read back. Pure; the formats are Patroni's.

A document never decides anything: it shows a view, or turns what somebody sent into typed facts.
"""

from matriarch.ha.documents.edits import Refusal, check_settings, merge_config
from matriarch.ha.documents.facts import CAPABILITIES, PATRONI_VERSION, VERSION, Facts
from matriarch.ha.documents.failover import (
    FailoverRequest,
    Outcome,
    candidates_for,
    check_answers,
    outcome,
    read_failover_request,
    timed_out,
)
from matriarch.ha.documents.guarded import check_change
from matriarch.ha.documents.health import health, liveness, parse_size, readiness
from matriarch.ha.documents.members import (
    member_from_pod,
    member_from_status,
    peer_answer_from,
    status_of,
)
from matriarch.ha.documents.metrics import patroni_samples, render
from matriarch.ha.documents.reports import (
    cluster_document,
    config_text,
    failsafe_document,
    history_document,
    history_row,
    patroni_document,
)
from matriarch.ha.documents.restart import (
    ReinitializeRequest,
    RestartRequest,
    read_reinitialize_request,
    read_restart_request,
    scheduled_restart_from,
)
from matriarch.ha.documents.status import api_url, conn_url, status_document
from matriarch.ha.documents.vocabulary import ROLES, STATES, role_label, role_of, state_of
from matriarch.ha.documents.wire import decode_object, encode

__all__ = [
    "CAPABILITIES",
    "PATRONI_VERSION",
    "ROLES",
    "STATES",
    "VERSION",
    "Facts",
    "FailoverRequest",
    "Outcome",
    "Refusal",
    "ReinitializeRequest",
    "RestartRequest",
    "api_url",
    "candidates_for",
    "check_answers",
    "check_change",
    "check_settings",
    "cluster_document",
    "config_text",
    "conn_url",
    "decode_object",
    "encode",
    "failsafe_document",
    "health",
    "history_document",
    "history_row",
    "liveness",
    "member_from_pod",
    "member_from_status",
    "merge_config",
    "outcome",
    "parse_size",
    "patroni_document",
    "patroni_samples",
    "peer_answer_from",
    "read_failover_request",
    "read_reinitialize_request",
    "read_restart_request",
    "readiness",
    "render",
    "role_label",
    "role_of",
    "scheduled_restart_from",
    "state_of",
    "status_document",
    "status_of",
    "timed_out",
]
