"""HAProxy in front of a cluster, with the health checks that people configure for Patroni."""

from __future__ import annotations

from collections.abc import Mapping

from e2e.clients.daemon import Daemon
from e2e.ports import free_port

_CONFIGURATION = """\
global
    maxconn 100
defaults
    mode tcp
    retries 2
    timeout client 30m
    timeout connect 4s
    timeout server 30m
    timeout check 1s
listen primary
    bind 127.0.0.1:{primary}
    option httpchk OPTIONS /
    http-check expect status 200
    default-server inter 300ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
listen replicas
    bind 127.0.0.1:{replicas}
    balance roundrobin
    option httpchk HEAD /replica?lag=16MB
    http-check expect status 200
    default-server inter 300ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
"""


class HAProxy(Daemon):
    """`primary` and `replicas` are its ports. `members`: address by name."""

    def __init__(self, members: Mapping[str, str]) -> None:
        super().__init__("haproxy")
        self.primary, self.replicas = free_port(), free_port()
        servers = [f"    server {name} {address}:5432 check port 8008" for name, address in members.items()]
        text = _CONFIGURATION.format(primary=self.primary, replicas=self.replicas, servers="\n".join(servers))
        configuration = self.folder / "haproxy.cfg"
        configuration.write_text(text)
        self.argv += ["-db", "-f", str(configuration)]
