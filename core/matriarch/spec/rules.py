"""What the schema says beyond types and bounds: patterns, and rules in CEL with a message that says what to do.

Patterns are RE2 as the API server reads them, and mean the same to Python's `re`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from matriarch.spec.parameters import MAX_NAME, NAME_PATTERN
from matriarch.spec.scheduling import KEY_PATTERN
from matriarch.words.names import CLUSTER_NAME_PATTERN, MAX_CLUSTER_NAME
from matriarch.words.parameters import OWNED, OWNED_PREFIXES

NO_CONTROL = r"^[^\x00-\x1f\x7f]*$"
IDENTIFIER = r"^[a-z_][a-z0-9_-]*$"
LOCALE = r"^[A-Za-z][A-Za-z0-9_.@-]*$"
ENCODING = r"^[A-Za-z][A-Za-z0-9_]*$"
IMAGE = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$"
HOST = r"^[A-Za-z0-9_][A-Za-z0-9_.:-]*$"
SLOT = r"^[a-z0-9_]+$"
ALLOWED = r"^[A-Za-z0-9:][A-Za-z0-9.:-]*(/[0-9]{1,3})?$"
PRINTABLE = r"^[\x20-\x7e]*$"
HEADER_NAME = r"^[A-Za-z][A-Za-z0-9-]*$"
FRAMING = frozenset({"connection", "content-length", "content-type", "date", "transfer-encoding", "www-authenticate"})
HBA_LINE = r"^(local|host|hostssl|hostnossl|hostgssenc|hostnogssenc)[ \t]+[^\x00-\x08\x0a-\x1f\x7f]+$"
IDENT_LINE = r"^[A-Za-z0-9_.-]+[ \t]+[^\x00-\x08\x0a-\x1f\x7f]+$"


class Rule(NamedTuple):
    """One CEL expression that must hold, and what a person is told when it does not."""

    expression: str
    message: str
    path: str = ""


def cel(*wanted: Rule) -> dict[str, Any]:
    """The rules as the schema extension of Kubernetes. Called with constants only, at import."""
    found = []
    for rule in wanted:
        entry = {"rule": rule.expression, "message": rule.message}
        if rule.path:
            entry["fieldPath"] = rule.path
        found.append(entry)
    return {"x-kubernetes-validations": found}


def _listed(words: frozenset[str]) -> str:
    return "[" + ", ".join(f"'{word}'" for word in sorted(words)) + "]"


KEYS = Rule(
    f"self.all(key, key.size() <= 317 && key.matches(r'{KEY_PATTERN}'))",
    "a key has letters, digits, dashes, underscores and dots, at most one slash, and at most 317 characters",
)
CLUSTER_NAME_LENGTH = Rule(
    f"self.metadata.name.size() <= {MAX_CLUSTER_NAME}",
    f"metadata.name may have at most {MAX_CLUSTER_NAME} characters, since pods, Services and Secrets are named after "
    "it: choose a shorter name",
)
CLUSTER_NAME_FORM = Rule(
    f"self.metadata.name.matches(r'{CLUSTER_NAME_PATTERN}')",
    "metadata.name is also the name of the primary's Service: start it with a letter and use only lower case letters, "
    "digits and dashes",
)
SIZE_GROWS = Rule(
    "quantity(self).compareTo(quantity(oldSelf)) >= 0",
    "storage.size cannot shrink: leave it, or create a new cluster with smaller volumes and move the data",
)
SIZE_MINIMUM = Rule(
    "quantity(self).compareTo(quantity('256Mi')) >= 0",
    "storage.size must be at least 256Mi: an empty cluster and its write-ahead log need that much",
)
STORAGE_CLASS_FIXED = Rule(
    "has(self.storageClass) == has(oldSelf.storageClass)"
    " && (!has(self.storageClass) || self.storageClass == oldSelf.storageClass)",
    "storage.storageClass cannot be changed: create a new cluster with the other class and move the data",
)
NO_DOWNGRADE = Rule(
    "int(self) >= int(oldSelf)",
    "postgresVersion cannot be lowered: restore a backup of the older version into a new cluster",
)
PARAMETER_NAMES = Rule(
    f"self.all(name, name.matches(r'{NAME_PATTERN}'))",
    "parameters: a name is written in lower case letters, digits and underscores, with at most one dot "
    "(work_mem, auto_explain.log_min_duration)",
)
PARAMETER_NAME_LENGTH = Rule(
    f"self.all(name, name.size() <= {MAX_NAME})", f"parameters: a name may have at most {MAX_NAME} characters"
)
PARAMETERS_OWNED = Rule(
    f"self.all(name, !(name in {_listed(OWNED)})"
    + "".join(f" && !name.startsWith('{prefix}')" for prefix in OWNED_PREFIXES)
    + ")",
    "parameters: remove those that Matriarch sets itself: "
    + ", ".join(sorted(OWNED))
    + ", and "
    + ", ".join(f"{prefix}*" for prefix in OWNED_PREFIXES),
)
TIMING = Rule(
    "self.loopWait + 2 * self.retryTimeout <= self.ttl",
    "failover: ttl must be at least loopWait + 2 * retryTimeout, or a slow API server would cost the primary its lock: "
    "raise ttl, or lower the other two",
)
BOOTSTRAP_FIXED = Rule(
    "self == oldSelf",
    "bootstrap is read once, when the cluster is initialised, and cannot be changed: use SQL, or create a new cluster",
)
RESERVED_NAMES = Rule(
    "!(self.database in ['postgres', 'template0', 'template1'])"
    " && !(self.owner in ['postgres', 'replicator', 'public']) && !self.owner.startsWith('pg_')",
    "bootstrap: choose another database than postgres, template0 and template1, and another owner than postgres, "
    "replicator, public and pg_*",
)
SOMEBODY_MAY_LEAD = Rule(
    "!has(self.tags) || self.instances > self.tags.filter(one, one.ordinal < self.instances"
    " && (one.noFailover || one.failoverPriority == 0)).size()",
    "tags: every member has noFailover or failoverPriority 0, so nobody could be primary: leave one without",
)
NOT_FROM_ITSELF = Rule(
    "!has(self.replicateFrom) || self.replicateFrom != self.ordinal",
    "tags: a member cannot replicate from itself: name another ordinal in replicateFrom",
)
CERTIFICATES_NEED_TLS = Rule(
    "self.verifyClient == 'none' || has(self.tls)",
    "restApi.verifyClient needs restApi.tls: name a Secret with tls.crt, tls.key and ca.crt there",
)
HEADERS_NOT_FRAMING = Rule(
    f"self.all(name, name.size() <= 128 && name.matches(r'{HEADER_NAME}')"
    f" && !(name.lowerAscii() in {_listed(FRAMING)}))",
    "restApi.extraHeaders: a name has letters, digits and dashes, and is none of those that the server sets itself: "
    + ", ".join(sorted(FRAMING)),
)
COUNT_NEEDS_REPLICAS = Rule(
    "self.synchronous.count == 1 || self.instances > self.synchronous.count",
    "synchronous.count replicas cannot have every commit when there are fewer: lower it, or raise instances above it",
)
STRICT_NEEDS_REPLICAS = Rule(
    "!self.synchronous.strict || self.instances > self.synchronous.count",
    "synchronous.strict with so few instances would block every write: have more instances than synchronous.count",
)
