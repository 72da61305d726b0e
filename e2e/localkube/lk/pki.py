"""The instance's certificate authority, one certificate per component, and the kubeconfig files that carry them."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lk.addresses import AddressPlan
from lk.settings import CLUSTER_DOMAIN
from lk.shell import run, together

_DAYS = "3650"
STORAGE_USER = "localkube-storage"


@dataclass(frozen=True)
class Identity:
    """Who a certificate speaks for. `subject` is in openssl's form, `names` are subject alternative names."""

    file: str
    subject: str
    names: tuple[str, ...] = ()


def identities(plan: AddressPlan) -> list[Identity]:
    """Every certificate that the cluster needs, with the groups and users that Kubernetes' own RBAC expects."""
    service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{CLUSTER_DOMAIN}")
    api_names = [f"DNS:{name}" for name in (*service, "localhost")]
    api_names += [f"IP:{address}" for address in ("127.0.0.1", plan.kubernetes_service, plan.control_plane.address)]
    fixed = [
        Identity("apiserver", "/CN=kube-apiserver", tuple(api_names)),
        Identity("admin", "/O=system:masters/CN=admin"),
        Identity("controllers", "/CN=system:kube-controller-manager"),
        Identity("scheduler", "/CN=system:kube-scheduler"),
        Identity("proxy", "/CN=system:kube-proxy"),
        Identity("dns", "/CN=localkube-dns"),
        Identity("storage", f"/CN={STORAGE_USER}"),
    ]
    return fixed + [
        Identity(
            node.name,
            f"/O=system:nodes/CN=system:node:{node.name}",
            (f"DNS:{node.name}", f"IP:{node.endpoint.address}"),
        )
        for node in plan.nodes
    ]


def _key(path: Path) -> None:
    run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path])
    path.chmod(0o600)


def _certificate(folder: Path, identity: Identity) -> None:
    key, request, extensions = (folder / f"{identity.file}.{kind}" for kind in ("key", "csr", "ext"))
    _key(key)
    run(["openssl", "req", "-new", "-key", key, "-subj", identity.subject, "-out", request])
    lines = ["keyUsage=critical,digitalSignature", "extendedKeyUsage=serverAuth,clientAuth"]
    lines += ["basicConstraints=CA:FALSE", "subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid"]
    if identity.names:
        lines.append("subjectAltName=" + ",".join(identity.names))
    extensions.write_text("\n".join(lines) + "\n")
    serial = f"0x{identity.file.encode().hex()}"
    authority: list[str | Path] = ["-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-set_serial", serial]
    certificate = folder / f"{identity.file}.crt"
    signing: list[str | Path] = ["openssl", "x509", "-req", "-days", _DAYS, *authority]
    run([*signing, "-in", request, "-extfile", extensions, "-out", certificate])
    request.unlink()
    extensions.unlink()


def create(folder: Path, plan: AddressPlan) -> None:
    """Make the authority, all certificates and the key pair that signs service account tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    _key(folder / "ca.key")
    subject = ["-subj", "/CN=localkube", "-days", _DAYS]
    # Python 3.13 and newer verify strictly: an authority must say what its key is for.
    use = ["-addext", "basicConstraints=critical,CA:TRUE"]
    use += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign,cRLSign"]
    run(["openssl", "req", "-x509", "-new", "-key", folder / "ca.key", *subject, *use, "-out", folder / "ca.crt"])
    _key(folder / "accounts.key")
    run(["openssl", "pkey", "-in", folder / "accounts.key", "-pubout", "-out", folder / "accounts.pub"])
    together(*(lambda identity=identity: _certificate(folder, identity) for identity in identities(plan)))


def kubeconfig(folder: Path, identity: str, server: str, context: str) -> str:
    """A kubeconfig with the certificates inside, so that the file can be copied anywhere."""

    def data(name: str) -> str:
        return base64.b64encode((folder / name).read_bytes()).decode()

    return f"""apiVersion: v1
kind: Config
clusters:
- name: {context}
  cluster:
    server: {server}
    certificate-authority-data: {data("ca.crt")}
users:
- name: {identity}@{context}
  user:
    client-certificate-data: {data(identity + ".crt")}
    client-key-data: {data(identity + ".key")}
contexts:
- name: {context}
  context:
    cluster: {context}
    user: {identity}@{context}
current-context: {context}
"""


def write_kubeconfigs(folder: Path, plan: AddressPlan, context: str, admin: Path) -> None:
    """Write one kubeconfig per client component beside its certificate, and the person's own to `admin`."""

    def write(path: Path, identity: str) -> None:
        path.touch(mode=0o600)
        path.write_text(kubeconfig(folder, identity, plan.api_server, context))

    for identity in _clients(identities(plan)):
        write(folder / f"{identity}.kubeconfig", identity)
    write(admin, "admin")


def _clients(everyone: Iterable[Identity]) -> list[str]:
    return [identity.file for identity in everyone if identity.file not in ("apiserver", "admin")]
