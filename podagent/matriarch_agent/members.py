"""The members as their pods tell, decoded once for each change of a pod."""

from __future__ import annotations

from matriarch.ha.documents.members import member_from_pod
from matriarch.ha.view import MemberView
from matriarch.kube.api import Object


class Members:
    """All members whose pods exist."""

    def __init__(self) -> None:
        self._by_name: dict[str, MemberView] = {}
        self._all: tuple[MemberView, ...] | None = None

    def all(self) -> tuple[MemberView, ...]:
        """Every member, by name."""
        if self._all is None:
            self._all = tuple([self._by_name[name] for name in sorted(self._by_name)])
        return self._all

    def note(self, name: str, pod: Object | None) -> tuple[MemberView | None, MemberView | None]:
        """Take a pod's change over; None: it is gone. Returns the member before and after it."""
        before, after = self._by_name.pop(name, None), None
        if pod is not None:
            after = self._by_name[name] = member_from_pod(pod)
        self._all = None
        return before, after


def place(member: MemberView | None) -> object:
    """What of a member is worth everybody's look when it changes."""
    return member and (member.name, member.pod_uid, member.pod_ip, member.api_url, member.tags)


def role(member: MemberView | None) -> object:
    """What of a member is worth a look of those whom it concerns."""
    return member and (member.state, member.role)
