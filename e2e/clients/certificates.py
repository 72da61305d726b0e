"""A certificate authority for one test: OpenSSL's own program signs a certificate for a cluster's members."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from e2e.shell import run

_NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def issue(folder: Path, hosts: Sequence[str]) -> None:
    """Writes `ca.crt`, `tls.crt` and `tls.key`, for these addresses or names, as servers and as clients."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = ["-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.crt"), "-subj", "/CN=test authority"]
    if not (folder / "ca.crt").exists():
        run(["openssl", "req", "-x509", *_NEW_KEY, *authority, "-days", "2"])
    names = [f"{'IP' if host[-1].isdigit() else 'DNS'}:{host}" for host in hosts]
    (folder / "extensions").write_text(
        f"subjectAltName={','.join(names)}\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n"
    )
    request = ["-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.csr"), "-subj", "/CN=member"]
    run(["openssl", "req", "-new", *_NEW_KEY, *request])
    signed = ["-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key"), "-CAcreateserial", "-days", "2"]
    given = ["-in", str(folder / "tls.csr"), "-out", str(folder / "tls.crt"), "-extfile", str(folder / "extensions")]
    run(["openssl", "x509", "-req", *given, *signed])
    (folder / "tls.key").chmod(0o644)
