from __future__ import annotations

import configparser
from dataclasses import replace
from pathlib import Path

import pytest
from lk.base_image import apt_settings, mirror_in, pip_settings
from lk.image_build import Request, ignored, key


@pytest.mark.parametrize(
    ("path", "rules", "answer"),
    [
        ("docs/a.md", ["docs"], True),
        ("docs/a.md", ["docs/"], True),
        ("src/docs/a.md", ["docs"], False),
        ("src/docs/a.md", ["**/docs"], True),
        ("a.md", ["*.md"], True),
        ("docs/a.md", ["*.md"], False),
        ("docs/a.md", ["**/*.md"], True),
        ("README.md", ["*.md", "!README.md"], False),
        ("README.md", ["!README.md", "*.md"], True),
        ("a", ["# a", ""], False),
        ("ab", ["a?"], True),
    ],
)
def test_dockerignore(path: str, rules: list[str], answer: bool) -> None:
    assert ignored(path, rules) is answer


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY src /src\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "program.py").write_text("print()\n")
    (tmp_path / ".dockerignore").write_text("notes\n")
    (tmp_path / "notes").write_text("one")
    return Request(tmp_path, None, "last", "localhost/x:1", ("A=1",), tmp_path / "out.tar", (), True)


def test_the_key_follows_everything_that_counts(request_: Request) -> None:
    first = key(request_, "base")
    seen = {
        first,
        key(request_, "other base"),
        key(replace(request_, target=None), "base"),
        key(replace(request_, tag="localhost/x:2"), "base"),
        key(replace(request_, arguments=("A=2",)), "base"),
    }
    program = request_.context / "src" / "program.py"
    program.chmod(0o755)
    seen.add(key(request_, "base"))
    program.write_text("print(1)\n")
    seen.add(key(request_, "base"))
    program.rename(program.with_name("renamed.py"))
    seen.add(key(request_, "base"))
    (request_.context / "Dockerfile").write_text("FROM scratch\n")
    seen.add(key(request_, "base"))
    assert len(seen) == 9


def test_the_key_does_not_follow_what_does_not_count(request_: Request) -> None:
    first = key(request_, "base")
    (request_.context / "notes").write_text("two")
    (request_.context / ".git").mkdir()
    (request_.context / ".git" / "HEAD").write_text("x")
    assert key(replace(request_, output=Path("/elsewhere.tar")), "base") == first
    narrow = replace(request_, inputs=(Path("src"),))
    before = key(narrow, "base")
    (request_.context / "more").write_text("x")
    assert key(narrow, "base") == before
    assert key(request_, "base") != first


@pytest.mark.parametrize(
    ("source", "mirror"),
    [
        ("Types: deb\nURIs: http://mirror.test/debian\nSuites: bookworm\n", "http://mirror.test/debian"),
        ("deb http://mirror.test/debian/ bookworm main\n", "http://mirror.test/debian/"),
        ("deb [signed-by=/k] https://mirror.test/debian bookworm main\n", "https://mirror.test/debian"),
        ("# deb http://mirror.test/debian bookworm main\n", None),
        ("deb http://mirror.test/debian-security bookworm-security main\n", None),
        ("deb http://mirror.test/ubuntu jammy main\n", None),
    ],
)
def test_mirror_of_the_machine(source: str, mirror: str | None) -> None:
    assert mirror_in([source]) == mirror


def test_pip_in_a_build_reaches_what_the_machine_reaches() -> None:
    present = (
        "[global]\ncert = /machine/ca.crt\nindex-url = http://index.test/simple\n[install]\nfind-links = /machine\n"
    )
    variables = {"PIP_TRUSTED_HOST": "index.test", "PIP_FIND_LINKS": "/wheels"}
    made = configparser.RawConfigParser()
    made.read_string(pip_settings(variables, present, "/lent/ca.crt"))
    assert dict(made["global"]) == {
        "cert": "/lent/ca.crt",
        "index-url": "http://index.test/simple",
        "trusted-host": "index.test",
    }
    assert dict(made["install"]) == {}


def test_apt_in_a_build_fetches_as_the_machine_does() -> None:
    dumped = "\n".join(
        [
            'Acquire::http::Proxy "http://proxy.test:3128";',
            'Acquire::Check-Valid-Until "false";',
            'Acquire::Languages "none";',
            'Acquire::cdrom::mount "/media";',
        ]
    )
    assert apt_settings(dumped, "/lent/ca.crt").splitlines() == [
        'Acquire::http::Proxy "http://proxy.test:3128";',
        'Acquire::Check-Valid-Until "false";',
        'Acquire::https::CAInfo "/lent/ca.crt";',
    ]
