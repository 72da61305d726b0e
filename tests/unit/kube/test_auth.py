from __future__ import annotations

import base64
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from matriarch.kube.auth import Connection, Token, from_kubeconfig, in_cluster
from matriarch.words.errors import Invalid

from .certificate import CERTIFICATE, KEY

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(cluster: dict[str, Any], user: dict[str, Any]) -> Path:
        config = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "ns"}}],
            "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:6443", **cluster}}],
            "users": [{"name": "u", "user": user}],
        }
        path = tmp_path / "config"
        path.write_text(yaml.safe_dump(config))
        return path

    return write


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_certificates_from_data_and_from_files(write: Write, tmp_path: Path) -> None:
    data = {"client-certificate-data": b64(CERTIFICATE), "client-key-data": b64(KEY)}
    connection = from_kubeconfig(write({"certificate-authority-data": b64(CERTIFICATE)}, data))
    assert connection.server == "https://127.0.0.1:6443"
    assert connection.namespace == "ns"
    assert connection.tls is not None
    assert connection.tls.verify_mode == ssl.CERT_REQUIRED
    (tmp_path / "crt").write_bytes(CERTIFICATE)
    (tmp_path / "key").write_bytes(KEY)
    files = {"client-certificate": "crt", "client-key": str(tmp_path / "key")}
    assert from_kubeconfig(write({"certificate-authority": "crt"}, files)).tls is not None


def test_a_token_and_its_file(write: Write, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    connection = from_kubeconfig(write({"insecure-skip-tls-verify": True}, {"tokenFile": "token"}))
    assert connection.token is not None
    assert connection.token.current() == "from-file"
    plain = from_kubeconfig(write({}, {"token": "s3cret"}))
    assert plain.token is not None
    assert plain.token.current() == "s3cret"
    assert "s3cret" not in repr(plain)


@pytest.mark.parametrize(
    ("cluster", "user", "complaint"),
    [
        ({}, {"exec": {"command": "aws"}}, r"users\[u\]\.user\.exec: exec plugins"),
        ({}, {"auth-provider": {"name": "gcp"}}, r"users\[u\]\.user\.auth-provider"),
        ({}, {"username": "x"}, r"users\[u\]\.user\.username"),
        ({"proxy-url": "http://p"}, {}, r"clusters\[k\]\.cluster\.proxy-url"),
        ({"server": "ftp://x"}, {}, r"clusters\[k\]\.cluster\.server"),
        ({"server": 3}, {}, r"clusters\[k\]\.cluster\.server must be a string"),
        ({"certificate-authority": "missing.crt"}, {}, r"certificate-authority: .*No such file"),
        ({"certificate-authority-data": "***"}, {}, r"certificate-authority-data is not base64"),
        ({"certificate-authority-data": b64(b"x")}, {}, r"certificate-authority is not a PEM"),
        ({}, {"client-certificate-data": b64(b"x")}, r"client-certificate and client-key do not fit"),
    ],
)
def test_what_is_not_supported_is_named(
    write: Write, cluster: dict[str, Any], user: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(Invalid, match=complaint):
        from_kubeconfig(write(cluster, user))


@pytest.mark.parametrize("text", ["", "[]", "a: b", "{", "contexts: 3", "current-context: c\ncontexts: [{name: c}]"])
def test_a_broken_file_is_invalid(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(Invalid, match=str(path)):
        from_kubeconfig(path)


def test_a_context_can_be_chosen_and_must_exist(write: Write) -> None:
    path = write({}, {})
    assert from_kubeconfig(path, "c").namespace == "ns"
    with pytest.raises(Invalid, match=r"contexts\[other\]"):
        from_kubeconfig(path, "other")


def test_the_service_account_of_a_pod(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(CERTIFICATE)
    (tmp_path / "token").write_text("one")
    (tmp_path / "namespace").write_text("ns\n")
    connection = in_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}, tmp_path)
    assert connection == Connection("https://[fd00::1]:6443", connection.tls, connection.token, "ns")
    assert connection.token is not None
    assert connection.token.current() == "one"
    with pytest.raises(Invalid, match="KUBERNETES_SERVICE_HOST"):
        in_cluster({}, tmp_path)
    with pytest.raises(Invalid, match=r"ca\.crt"):
        in_cluster({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path / "no")


def test_a_token_is_read_again_after_a_minute_and_after_a_refusal(tmp_path: Path) -> None:
    file, clock = tmp_path / "token", [0.0]
    token = Token(file.read_text, now=lambda: clock[0])
    with pytest.raises(Invalid):
        token.current()
    file.write_text("one")
    assert token.current() == "one"
    file.write_text("two")
    clock[0] = 59.0
    assert token.current() == "one"
    clock[0] = 61.0
    assert token.current() == "two"
    file.write_text("three")
    token.forget()
    assert token.current() == "three"
    file.unlink()
    clock[0] = 1000.0
    assert token.current() == "three"
