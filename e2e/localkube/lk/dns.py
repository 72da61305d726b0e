"""A question to the cluster's DNS, asked from the machine as any program on it would."""

from __future__ import annotations

import secrets
import socket
import struct

from lk.settings import CLUSTER_DOMAIN

_A_RECORD, _INTERNET = 1, 1


def question(name: str, number: int) -> bytes:
    """A query for the address of `name` with the identifier `number` (RFC 1035 §4)."""
    header = struct.pack(">6H", number, 0x0100, 1, 0, 0, 0)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return header + labels + b"\0" + struct.pack(">2H", _A_RECORD, _INTERNET)


def has_answer(reply: bytes, number: int) -> bool:
    """Whether a reply to query `number` holds an answer."""
    if len(reply) < 12:
        return False
    identifier, flags, _, answers, _, _ = struct.unpack(">6H", reply[:12])
    return bool(identifier == number and flags & 0x800F == 0x8000 and answers > 0)


def answers(server: str, *, seconds: float = 0.5) -> bool:
    """Whether `server` knows the API server's own Service."""
    number = secrets.randbelow(65536)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(seconds)
        try:
            client.sendto(question(f"kubernetes.default.svc.{CLUSTER_DOMAIN}", number), (server, 53))
            return has_answer(client.recv(2048), number)
        except OSError:
            return False
