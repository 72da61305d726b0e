"""Where pods may run: the parts of the core/v1 pod API that a PostgresCluster passes on to its pods.

The shapes are Kubernetes' own (core/v1 Affinity, Toleration, TopologySpreadConstraint). They are spelled out, not
passed through blindly, so that a misspelled field is refused at apply, where the person who made the mistake sees it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from matriarch.spec.quantity import PATTERN as QUANTITY_PATTERN

KEY_PATTERN = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
"""A label's or an annotation's key: a name, with or without a DNS prefix."""

Key = Annotated[str, Meta(min_length=1, max_length=317, pattern=KEY_PATTERN)]
TopologyKey = Annotated[
    Key, Meta(description="The node label whose value tells the place, such as kubernetes.io/hostname.")
]
Value = Annotated[str, Meta(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]
Values = Annotated[
    tuple[Value, ...], Meta(max_length=32, description="What to compare with; none for Exists and DoesNotExist.")
]
Expressed = Annotated[Key, Meta(description="The label's key.")]
Name = Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
Weight = Annotated[int, Meta(ge=1, le=100, description="From 1 to 100; the higher, the stronger the preference.")]
Labels = Annotated[dict[Key, Value], Meta(max_length=32)]
Quantity = Annotated[
    int | Annotated[str, Meta(pattern=QUANTITY_PATTERN, max_length=32)],
    Meta(
        description="A Kubernetes quantity, such as 500m or 2Gi.",
        extra_json_schema={"pattern": QUANTITY_PATTERN, "maxLength": 32},
    ),
]


class _Passed(Struct, frozen=True, rename="camel", omit_defaults=True):
    pass


class LabelRequirement(_Passed, frozen=True, rename="camel", omit_defaults=True):
    """One expression of a label selector."""

    key: Expressed
    operator: Annotated[
        Literal["In", "NotIn", "Exists", "DoesNotExist"], Meta(description="How the label is compared with the values.")
    ]
    values: Values = ()


class LabelSelector(_Passed, frozen=True, rename="camel", omit_defaults=True):
    """Selects objects by their labels."""

    match_labels: Annotated[Labels, Meta(description="Labels with exactly these values.")] = {}
    match_expressions: Annotated[
        tuple[LabelRequirement, ...], Meta(max_length=16, description="Expressions that must all hold.")
    ] = ()


class NodeRequirement(_Passed, frozen=True, rename="camel", omit_defaults=True):
    """One expression over a node's labels or fields."""

    key: Expressed
    operator: Annotated[
        Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"],
        Meta(description="How the label is compared with the values; Gt and Lt compare numbers."),
    ]
    values: Values = ()


class NodeTerm(_Passed, frozen=True, rename="camel", omit_defaults=True):
    """All of its expressions must hold."""

    match_expressions: Annotated[
        tuple[NodeRequirement, ...], Meta(max_length=16, description="Expressions over the node's labels.")
    ] = ()
    match_fields: Annotated[
        tuple[NodeRequirement, ...], Meta(max_length=16, description="Expressions over the node's fields.")
    ] = ()


class NodeSelector(_Passed, frozen=True, rename="camel", omit_defaults=True):
    """One of its terms must hold."""

    node_selector_terms: Annotated[
        tuple[NodeTerm, ...], Meta(min_length=1, max_length=16, description="Terms of which one must hold.")
    ]


class PreferredNodeTerm(_Passed, frozen=True, rename="camel", omit_defaults=True):
    """A preference for nodes."""

    weight: Weight
    preference: NodeTerm


class NodeAffinity(_Passed, frozen=True, rename="camel", omit_defaults=True):
    """Which nodes are allowed, and which are preferred."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[PreferredNodeTerm, ...], Meta(max_length=16, description="Nodes that are preferred.")
    ] = ()


class PodTerm(_Passed, frozen=True, rename="camel", omit_defaults=True):
    """A set of pods, and the node label that says what "the same place" means."""

    topology_key: TopologyKey
    label_selector: LabelSelector | None = None
    namespaces: Annotated[
        tuple[Value, ...], Meta(max_length=16, description="Where these pods are; none: in the cluster's namespace.")
    ] = ()
    namespace_selector: LabelSelector | None = None


class PreferredPodTerm(_Passed, frozen=True, rename="camel", omit_defaults=True):
    """A preference about other pods."""

    weight: Weight
    pod_affinity_term: PodTerm


class PodAffinity(_Passed, frozen=True, rename="camel", omit_defaults=True):
    """Other pods to be near to, or to keep away from."""

    required_during_scheduling_ignored_during_execution: Annotated[
        tuple[PodTerm, ...], Meta(max_length=16, description="What must hold when a member is placed.")
    ] = ()
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[PreferredPodTerm, ...], Meta(max_length=16, description="What is preferred when a member is placed.")
    ] = ()


class Affinity(_Passed, frozen=True, rename="camel", omit_defaults=True):
    """Affinity as in a pod. Without it, members prefer to be on different nodes."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class Toleration(_Passed, frozen=True, rename="camel", omit_defaults=True):
    """A taint that members tolerate."""

    key: Annotated[
        str, Meta(max_length=317, pattern=f"^$|{KEY_PATTERN}", description="The taint's key; empty: every taint.")
    ] = ""
    operator: Annotated[
        Literal["Exists", "Equal"] | None, Meta(description="Whether the taint's value counts; without it, Equal.")
    ] = None
    value: Annotated[Value, Meta(description="The taint's value.")] = ""
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None,
        Meta(description="The taint's effect; without it, every effect."),
    ] = None
    toleration_seconds: Annotated[
        int | None, Meta(description="How long a NoExecute taint is tolerated; without it, for ever.")
    ] = None


class TopologySpread(_Passed, frozen=True, rename="camel", omit_defaults=True):
    """How evenly members are spread over nodes or zones."""

    max_skew: Annotated[int, Meta(ge=1, le=100, description="How many more members than another a place may have.")]
    topology_key: TopologyKey
    when_unsatisfiable: Annotated[
        Literal["DoNotSchedule", "ScheduleAnyway"], Meta(description="What happens to a member that would exceed it.")
    ]
    label_selector: LabelSelector | None = None
    min_domains: Annotated[
        Annotated[int, Meta(ge=1, le=100)] | None, Meta(description="The least number of places that count.")
    ] = None


class Resources(_Passed, frozen=True, rename="camel", omit_defaults=True):
    """Requests and limits of the database container."""

    requests: Annotated[
        dict[Key, Quantity], Meta(max_length=16, description="What is set aside for it, such as cpu and memory.")
    ] = {}
    limits: Annotated[dict[Key, Quantity], Meta(max_length=16, description="What it may use at the most.")] = {}


class PullSecret(_Passed, frozen=True, rename="camel", omit_defaults=True):
    """A Secret with credentials for an image registry."""

    name: Annotated[Name, Meta(description="The Secret's name.")]
