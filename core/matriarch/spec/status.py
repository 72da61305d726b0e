"""What the operator reports: the status of a PostgresCluster."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Word = Annotated[str, Meta(max_length=253)]
Sentence = Annotated[str, Meta(max_length=1024)]
Moment = Annotated[str, Meta(max_length=64)]
Generation = Annotated[int, Meta(description="The generation of the spec that this tells about.")]
Timeline = Annotated[int | None, Meta(description="Postgres' timeline: it grows with each promotion.")]


def _keyed_by(key: str) -> dict[str, object]:
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


class _Reported(Struct, frozen=True, rename="camel", omit_defaults=True):
    pass


class Condition(_Reported, frozen=True, rename="camel", omit_defaults=True):
    """One condition, as metav1.Condition."""

    type: Annotated[str, Meta(max_length=64, description="Ready, Progressing or Degraded.")]
    status: Annotated[Literal["True", "False", "Unknown"], Meta(description="Whether it is so.")]
    reason: Annotated[str, Meta(max_length=64, description="Why, in one word for programs.")]
    message: Annotated[Sentence, Meta(description="Why, for people.")]
    last_transition_time: Annotated[Moment, Meta(description="When the status last changed.")]
    observed_generation: Generation = 0


class MemberStatus(_Reported, frozen=True, rename="camel", omit_defaults=True):
    """One member, as it reports itself."""

    name: Annotated[Word, Meta(description="The member's name, which is its pod's.")]
    role: Annotated[Word, Meta(description="primary, replica or standby_leader.")] = ""
    state: Annotated[Word, Meta(description="What its Postgres is doing, such as running or starting.")] = ""
    ready: Annotated[bool, Meta(description="Whether its pod is ready.")] = False
    timeline: Timeline = None
    lag_mebibytes: Annotated[
        int | None,
        Meta(description="Behind the primary, in MiB, rounded up to a power of two: it must not flicker."),
    ] = None
    pending_restart: Annotated[bool, Meta(description="Whether a parameter waits for a restart of it.")] = False
    node: Annotated[Word, Meta(description="The node that it runs on.")] = ""


class SwitchoverStatus(_Reported, frozen=True, rename="camel", omit_defaults=True):
    """The last planned change of the primary."""

    requested_at: Annotated[Moment, Meta(description="When it was taken up.")]
    requested_by: Annotated[
        Literal["user", "rollout", "scaling"], Meta(description="Who asked: a person, or the operator's own procedure.")
    ]
    origin: Annotated[Word, Meta(description="The primary at that time.")] = field(name="from")
    outcome: Annotated[Literal["Pending", "Succeeded", "Refused"], Meta(description="How it ended, if it has.")]
    to: Annotated[Word, Meta(description="The member asked for, or any; after success, the new primary.")] = ""
    finished_at: Annotated[Moment, Meta(description="When it ended.")] = ""
    message: Annotated[Sentence, Meta(description="What happened, or why it was refused.")] = ""


class Status(_Reported, frozen=True, rename="camel", omit_defaults=True):
    """What is."""

    observed_generation: Generation = 0
    phase: Annotated[str, Meta(max_length=64, description="One word or two for people; programs read conditions.")] = ""
    primary: Annotated[Word, Meta(description="The member that holds the lock.")] = ""
    timeline: Timeline = None
    instances: Annotated[int, Meta(description="Pods that exist.")] = 0
    ready_instances: Annotated[int, Meta(description="Pods that are ready.")] = 0
    selector: Annotated[str, Meta(max_length=512, description="Label selector of the pods, for kubectl scale.")] = ""
    members: Annotated[
        tuple[MemberStatus, ...],
        Meta(max_length=32, description="The members, as they report themselves.", extra_json_schema=_keyed_by("name")),
    ] = ()
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(max_length=16, description="Conditions, for programs.", extra_json_schema=_keyed_by("type")),
    ] = ()
    last_switchover: SwitchoverStatus | None = None
