"""What the operator reports: the status of a PostgresCluster."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Word = Annotated[str, Meta(max_length=253)]
Sentence = Annotated[str, Meta(max_length=1024)]
Moment = Annotated[str, Meta(max_length=64)]


def _keyed_by(key: str) -> dict[str, object]:
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


class _Reported(Struct, frozen=True, rename="camel", omit_defaults=True):
    pass


class Condition(_Reported, frozen=True, rename="camel", omit_defaults=True):
    """One condition, as metav1.Condition."""

    type: Annotated[str, Meta(max_length=64)]
    status: Literal["True", "False", "Unknown"]
    reason: Annotated[str, Meta(max_length=64)]
    message: Sentence
    last_transition_time: Moment
    observed_generation: int = 0


class MemberStatus(_Reported, frozen=True, rename="camel", omit_defaults=True):
    """One member, as it reports itself."""

    name: Word
    role: Word = ""
    state: Word = ""
    ready: bool = False
    timeline: int | None = None
    lag_mebibytes: Annotated[
        int | None,
        Meta(description="Behind the primary, in MiB, rounded up to a power of two: it must not flicker."),
    ] = None
    pending_restart: bool = False
    node: Word = ""


class SwitchoverStatus(_Reported, frozen=True, rename="camel", omit_defaults=True):
    """The last planned change of the primary."""

    requested_at: Moment
    requested_by: Annotated[
        Literal["user", "rollout", "scaling"], Meta(description="Who asked: a person, or the operator's own procedure.")
    ]
    origin: Annotated[Word, Meta(description="The primary at that time.")] = field(name="from")
    outcome: Literal["Pending", "Succeeded", "Refused"]
    to: Annotated[Word, Meta(description="The member asked for, or any; after success, the new primary.")] = ""
    finished_at: Moment = ""
    message: Sentence = ""


class Status(_Reported, frozen=True, rename="camel", omit_defaults=True):
    """What is."""

    observed_generation: int = 0
    phase: Annotated[str, Meta(max_length=64, description="One word or two for people; programs read conditions.")] = ""
    primary: Annotated[Word, Meta(description="The member that holds the lock.")] = ""
    timeline: int | None = None
    instances: Annotated[int, Meta(description="Pods that exist.")] = 0
    ready_instances: Annotated[int, Meta(description="Pods that are ready.")] = 0
    selector: Annotated[str, Meta(max_length=512, description="Label selector of the pods, for kubectl scale.")] = ""
    members: Annotated[tuple[MemberStatus, ...], Meta(max_length=32, extra_json_schema=_keyed_by("name"))] = ()
    conditions: Annotated[tuple[Condition, ...], Meta(max_length=16, extra_json_schema=_keyed_by("type"))] = ()
    last_switchover: SwitchoverStatus | None = None
