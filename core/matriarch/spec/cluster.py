"""What a person asks for: the spec of a PostgresCluster. The CRD's schema is generated from these Structs.

Bounds stand on every string, list and map: they keep the cost of the schema's CEL rules bounded, and a hostile manifest
small. Defaults stand here and reach the schema from here, so that `kubectl get -o yaml` shows what is in force.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from matriarch.spec import rules
from matriarch.spec.parameters import MAX_NAME as MAX_PARAMETER_NAME
from matriarch.spec.quantity import PATTERN as QUANTITY_PATTERN
from matriarch.spec.rest_api import RestApi
from matriarch.spec.scheduling import (
    Affinity,
    Key,
    Labels,
    Name,
    PullSecret,
    Resources,
    Toleration,
    TopologySpread,
)
from matriarch.spec.tags import MemberTags

MAX_INSTANCES = 9
Seconds = Annotated[int, Meta(ge=1, le=3600)]
Identifier = Annotated[str, Meta(min_length=1, max_length=63, pattern=rules.IDENTIFIER)]
ParameterName = Annotated[str, Meta(min_length=1, max_length=MAX_PARAMETER_NAME)]
ParameterValue = Annotated[
    int | float | bool | Annotated[str, Meta(max_length=4096)],
    Meta(
        description='A number or a string. Quote true, false, on, off and fractions: "on", "1.1".',
        extra_json_schema={"pattern": rules.NO_CONTROL, "maxLength": 4096},
    ),
]
HbaLine = Annotated[str, Meta(min_length=1, max_length=1024, pattern=rules.HBA_LINE)]
IdentLine = Annotated[str, Meta(min_length=5, max_length=1024, pattern=rules.IDENT_LINE)]
AnnotationValue = Annotated[str, Meta(max_length=4096)]
Annotations = Annotated[dict[Key, AnnotationValue], Meta(max_length=64)]
Mode = Annotated[
    Literal["on", "off", "quorum"] | bool,
    Meta(
        description="on: a commit is acknowledged once the chosen replicas (`count` of them) have it, so that a single "
        "fault loses no acknowledged write. quorum: any `count` replicas will do, so that a slow one delays nobody, "
        "and whoever becomes primary has asked enough of them. off: replicas follow asynchronously."
    ),
]


class _Section(Struct, frozen=True, rename="camel", omit_defaults=True):
    pass


class Storage(_Section, frozen=True, rename="camel", omit_defaults=True):
    """The volume of each member."""

    size: Annotated[
        str,
        Meta(
            max_length=32,
            pattern=QUANTITY_PATTERN,
            description="Size of each member's volume, such as 10Gi. It can grow, never shrink.",
            extra_json_schema=rules.cel(rules.SIZE_GROWS, rules.SIZE_MINIMUM),
        ),
    ]
    storage_class: Annotated[
        Name | None,
        Meta(description="StorageClass of the volumes; without it, the cluster's default. Cannot be changed."),
    ] = None
    reclaim_policy: Annotated[
        Literal["Retain", "Delete"],
        Meta(
            description="What happens to volumes and credentials when the PostgresCluster is deleted, and to the "
            "volumes of members that are scaled away. Retain keeps them, and a cluster of the same name comes back "
            "with its data."
        ),
    ] = "Retain"


class Synchronous(_Section, frozen=True, rename="camel", omit_defaults=True):
    """Synchronous replication."""

    mode: Mode = "on"
    strict: Annotated[
        bool,
        Meta(description="true: with no synchronous replica left, writes wait; false: the primary goes on alone."),
    ] = False
    count: Annotated[int, Meta(ge=1, le=8, description="How many replicas must have a commit.")] = 1

    @property
    def enabled(self) -> bool:
        """Whether commits wait for a replica. An unquoted `on` in YAML arrives as true, and means the same."""
        return self.mode in ("on", "quorum", True)

    @property
    def wire_mode(self) -> bool | str:
        """The mode as the cluster settings write it (after Patroni)."""
        return "quorum" if self.mode == "quorum" else self.enabled


class Failover(_Section, frozen=True, rename="camel", omit_defaults=True):
    """How fast a dead primary is noticed. loopWait + 2 * retryTimeout must not exceed ttl."""

    ttl: Annotated[Seconds, Meta(description="Seconds for which a renewal of the lock protects the primary.")] = 9
    loop_wait: Annotated[Seconds, Meta(description="Seconds between two rounds of a member's loop.")] = 3
    retry_timeout: Annotated[Seconds, Meta(description="Seconds for which a member retries the API server or SQL.")] = 3
    failsafe: Annotated[
        bool, Meta(description="Keep the primary while the API server is unreachable, as long as every member agrees.")
    ] = True
    maximum_lag: Annotated[
        int | Annotated[str, Meta(pattern=QUANTITY_PATTERN, max_length=32)],
        Meta(
            description="A replica farther behind than this many bytes is never promoted in asynchronous mode.",
            extra_json_schema={"pattern": QUANTITY_PATTERN, "maxLength": 32, "minimum": 0},
        ),
    ] = "1Mi"


class Standby(_Section, frozen=True, rename="camel", omit_defaults=True):
    """Another cluster that this one follows. Taking the section away makes this cluster primary."""

    host: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=253,
            pattern=rules.HOST,
            description="Name or address at which the other cluster's primary answers, such as its Service's.",
        ),
    ]
    port: Annotated[int, Meta(ge=1, le=65535, description="Its port.")] = 5432
    slot_name: Annotated[
        Annotated[str, Meta(min_length=1, max_length=63, pattern=rules.SLOT)] | None,
        Meta(description="A physical replication slot over there, so that it keeps the WAL that this cluster needs."),
    ] = None


class Bootstrap(_Section, frozen=True, rename="camel", omit_defaults=True):
    """How the cluster is initialised. Read once, when the first member starts with an empty volume."""

    database: Annotated[Identifier, Meta(description="Database for the application.")] = "app"
    owner: Annotated[Identifier, Meta(description="Role that owns the database.")] = "app"
    locale: Annotated[
        str, Meta(min_length=1, max_length=64, pattern=rules.LOCALE, description="Locale of the database cluster.")
    ] = "C.UTF-8"
    encoding: Annotated[
        str, Meta(min_length=1, max_length=32, pattern=rules.ENCODING, description="Encoding of the database cluster.")
    ] = "UTF8"
    data_checksums: Annotated[bool, Meta(description="Checksums on data pages.")] = True


class Spec(_Section, frozen=True, rename="camel", omit_defaults=True):
    """What is asked for."""

    storage: Annotated[Storage, Meta(extra_json_schema=rules.cel(rules.STORAGE_CLASS_FIXED))]
    instances: Annotated[
        int, Meta(ge=1, le=MAX_INSTANCES, description="Members: one primary, the others replicas.")
    ] = 3
    postgres_version: Annotated[
        Literal["17"],
        Meta(description="Major version of Postgres.", extra_json_schema=rules.cel(rules.NO_DOWNGRADE)),
    ] = "17"
    image: Annotated[
        Annotated[str, Meta(min_length=1, max_length=512, pattern=rules.IMAGE)] | None,
        Meta(description="Image of the members; without it, the one that the operator was installed with."),
    ] = None
    image_pull_policy: Annotated[
        Literal["IfNotPresent", "Always", "Never"], Meta(description="When nodes pull the image.")
    ] = "IfNotPresent"
    image_pull_secrets: Annotated[
        tuple[PullSecret, ...], Meta(max_length=8, description="Secrets for the image's registry.")
    ] = ()
    resources: Annotated[Resources | None, Meta(description="Requests and limits of the database container.")] = None
    parameters: Annotated[
        dict[ParameterName, ParameterValue],
        Meta(
            max_length=200,
            description="Postgres parameters. They are applied by reload, or by a restart in the safe order.",
            extra_json_schema=rules.cel(rules.PARAMETER_NAMES, rules.PARAMETERS_OWNED, rules.PARAMETER_NAME_LENGTH),
        ),
    ] = {}
    pg_hba: Annotated[
        tuple[HbaLine, ...],
        Meta(max_length=100, description="Lines for pg_hba.conf, in order, after those that Matriarch itself needs."),
    ] = ()
    pg_ident: Annotated[
        tuple[IdentLine, ...],
        Meta(max_length=100, description="Lines for pg_ident.conf: a map's name, a system user, a database user."),
    ] = ()
    synchronous: Annotated[Synchronous, Meta(description="Synchronous replication.")] = Synchronous()
    failover: Annotated[Failover, Meta(extra_json_schema=rules.cel(rules.TIMING))] = Failover()
    bootstrap: Annotated[Bootstrap, Meta(extra_json_schema=rules.cel(rules.BOOTSTRAP_FIXED, rules.RESERVED_NAMES))] = (
        Bootstrap()
    )
    tags: Annotated[
        tuple[Annotated[MemberTags, Meta(extra_json_schema=rules.cel(rules.NOT_FROM_ITSELF))], ...],
        Meta(
            max_length=MAX_INSTANCES,
            description="Tags of single members.",
            extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["ordinal"]},
        ),
    ] = ()
    standby: Annotated[
        Standby | None,
        Meta(
            description="Follow another cluster instead of having a primary. The Secrets of both must hold the same "
            "users and passwords."
        ),
    ] = None
    rest_api: Annotated[
        RestApi,
        Meta(
            description="How the members' REST API on port 8008 is protected.",
            extra_json_schema=rules.cel(rules.CERTIFICATES_NEED_TLS),
        ),
    ] = RestApi()
    node_selector: Annotated[
        Labels, Meta(description="Labels that a node must have.", extra_json_schema=rules.cel(rules.KEYS))
    ] = {}
    tolerations: Annotated[
        tuple[Toleration, ...], Meta(max_length=16, description="Taints that members tolerate.")
    ] = ()
    affinity: Affinity | None = None
    topology_spread_constraints: Annotated[
        tuple[TopologySpread, ...], Meta(max_length=8, description="How members are spread over nodes or zones.")
    ] = ()
    priority_class_name: Annotated[Name | None, Meta(description="PriorityClass of the pods.")] = None
    pod_annotations: Annotated[
        Annotations, Meta(description="Annotations for the pods.", extra_json_schema=rules.cel(rules.KEYS))
    ] = {}
    service_annotations: Annotated[
        Annotations, Meta(description="Annotations for the Services.", extra_json_schema=rules.cel(rules.KEYS))
    ] = {}
    paused: Annotated[
        bool,
        Meta(description="true: no automatic failover, and the operator restarts nothing. Postgres goes on as it is."),
    ] = False
