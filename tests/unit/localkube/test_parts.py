from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
from contextlib import nullcontext
from pathlib import Path

import pytest
from lk import cli, cluster, dns, image_store, images, pause_image, registry
from lk.addresses import AddressPlan
from lk.layout import Layout
from lk.settings import BUNDLE_FOLDER, HELM_VERSION, KUBERNETES_VERSION
from lk.shell import CommandFailed, LocalkubeError, run, together, wait_until


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCALKUBE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(registry, "_networks_in_use", lambda: ["10.101.0.0/16"])
    monkeypatch.setattr(registry, "NETNS_FOLDER", tmp_path / "netns")
    return tmp_path


def test_the_pause_image_is_reproducible_and_names_its_layer_by_its_sum(tmp_path: Path) -> None:
    content = pause_image.archive(b"program")
    assert content == pause_image.archive(b"program")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        read = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    (manifest,) = json.loads(read["manifest.json"])
    config = read[manifest["Config"]]
    assert manifest["Config"] == f"{hashlib.sha256(config).hexdigest()}.json"
    layer = read[manifest["Layers"][0]]
    assert json.loads(config)["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as files:
        assert files.getmember("pause").mode == 0o755


def test_the_versions_that_are_shown_are_those_that_are_built() -> None:
    pinned = dict(line.split()[:2] for line in (BUNDLE_FOLDER / "go.mod").read_text().splitlines() if line.count(" "))
    assert pinned["k8s.io/kubernetes"] == KUBERNETES_VERSION
    assert pinned["helm.sh/helm/v3"] == HELM_VERSION


def test_an_archive_is_known_by_its_content(tmp_path: Path) -> None:
    one, same, other = (tmp_path / name for name in ("one.tar", "same.tar", "other.tar"))
    one.write_bytes(pause_image.archive(b"a"))
    same.write_bytes(pause_image.archive(b"a"))
    other.write_bytes(pause_image.archive(b"b"))
    assert images.identity(one) == images.identity(same) != images.identity(other)


def test_what_is_not_an_image_is_refused(tmp_path: Path) -> None:
    text, empty = tmp_path / "text.tar", tmp_path / "empty.tar"
    text.write_text("not an archive")
    with tarfile.open(empty, "w"):
        pass
    for path, message in ((text, "cannot be read"), (empty, "no manifest.json"), (tmp_path / "gone", "cannot be read")):
        with pytest.raises(LocalkubeError, match=message):
            images.identity(path)


def test_an_older_archive_of_the_same_image_is_loaded_again(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[tuple[str, list[str]]] = []
    names = {"a": ["x:1", "y:1"], "b": ["x:1"], "c": ["z:1"]}
    archives = {key: tmp_path / f"{key}.tar" for key in names}
    for key, path in archives.items():
        path.write_bytes(pause_image.archive(key.encode()))
    by_sum = {images.identity(path): key for key, path in archives.items()}
    monkeypatch.setattr(image_store, "running", nullcontext)
    monkeypatch.setattr(image_store, "names_of", lambda archive, what: names[by_sum[what]])
    monkeypatch.setattr(image_store, "copy", lambda what, given, *_: loaded.append((by_sum[what], given)))
    layout = Layout("one", AddressPlan(0, 1))
    node = layout.node(layout.plan.nodes[0])
    node.folder.mkdir(parents=True)
    for key in ("a", "a", "c", "b", "b", "a", "c"):
        images.load([node], [archives[key]])
    assert [key for key, _ in loaded] == ["a", "c", "b", "a"]


def test_dns_question_and_answer() -> None:
    asked = dns.question("a.bc", 0x1234)
    assert asked[:2] == b"\x12\x34"
    assert asked[12:] == b"\x01a\x02bc\x00\x00\x01\x00\x01"
    answered = struct.pack(">6H", 0x1234, 0x8580, 1, 1, 0, 0)
    assert dns.has_answer(answered, 0x1234)
    assert not dns.has_answer(answered, 0x4321)
    assert not dns.has_answer(struct.pack(">6H", 0x1234, 0x8583, 1, 0, 0, 0), 0x1234)
    assert not dns.has_answer(b"", 0x1234)


@pytest.mark.parametrize("name", ["", "Upper", "-a", "a-", "../x", "a b", "1a", "a" * 21])
def test_names_that_could_harm_are_refused(name: str) -> None:
    with pytest.raises(LocalkubeError, match="--name"):
        registry.check_name(name)


def test_instances_get_indexes_that_nothing_uses(machine: Path) -> None:
    (machine / "netns").mkdir()
    (machine / "netns" / "lk2-cp").touch()
    assert registry.reserve("one", 3).index == 0
    assert registry.reserve("two", 3).index == 3  # 1 is routed by the machine, 2 has a namespace of somebody's
    assert registry.reserve("one", 5) == registry.Entry(0, 5)
    assert registry.release("one") is False
    assert registry.reserve("three", 1).index == 0
    assert registry.release("two") is False
    assert registry.release("three") is True
    assert not (machine / "state").exists()


def test_a_failed_program_is_told_with_the_end_of_what_it_said() -> None:
    with pytest.raises(CommandFailed, match="exit code 3\nwhy"):
        run(["sh", "-c", "echo why >&2; exit 3"])
    with pytest.raises(CommandFailed, match="no such program"):
        run(["/nowhere/at/all"])
    assert run(["cat"], stdin="text").stdout == "text"


def test_tasks_together_raise_what_failed_and_waiting_ends() -> None:
    done: list[int] = []

    def fail() -> None:
        raise LocalkubeError("this one")

    with pytest.raises(LocalkubeError, match="this one"):
        together(fail, lambda: done.append(1))
    assert done == [1]
    with pytest.raises(LocalkubeError, match="the sun: not within 0 s"):
        wait_until("the sun", lambda: False, seconds=0, every=0)


@pytest.mark.parametrize(
    "words",
    [
        ["up", "--nodes", "3"],
        ["--name", "other", "down"],
        ["kubeconfig", "--print"],
        ["load", "a.tar", "b.tar"],
        ["api", "delay", "200"],
        ["node", "kill", "node1"],
        ["exec-node", "node1", "ls", "-l"],
        ["build", "--tag", "x:1", "--build-arg", "A=1", "--target", "t", "-o", "x.tar", "--cache-key", "."],
    ],
)
def test_the_command_line_is_understood(words: list[str]) -> None:
    assert cli.parser().parse_args(words).action_of


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["up"], "localkube"),
        (["--name", "two", "up"], "two"),
        (["up", "--name", "two", "--nodes", "1"], "two"),
        (["api", "delay", "5", "--name", "two"], "two"),
        (["exec-node", "node1", "ls", "--name", "two"], "localkube"),
    ],
)
def test_the_instance_is_named_before_or_behind_the_command(words: list[str], name: str) -> None:
    assert cli.parser().parse_args(words).name == name


@pytest.mark.parametrize("words", [["up", "--nodes", "0"], ["up", "--nodes", "10"], ["loss", "node1", "much"], []])
def test_a_wrong_command_line_is_told_before_anything_is_done(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(words)
    assert "localkube" in capsys.readouterr().err


def test_who_is_not_root_is_told_so(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    registry.reserve("localkube", 3)
    monkeypatch.setattr(cluster, "_remove", refused)
    assert cli.main(["down"]) == 1
    assert capsys.readouterr().err == "localkube: [Errno 1] Operation not permitted: run it as root\n"


@pytest.mark.parametrize("component", ["kubelet", "../instances", "/etc/passwd", ""])
def test_a_log_that_there_is_not_is_told_with_those_there_are(
    machine: Path, capsys: pytest.CaptureFixture[str], component: str
) -> None:
    registry.reserve("localkube", 3)
    logs = machine / "state" / "localkube" / "logs"
    logs.mkdir(parents=True)
    (logs / "kubelet-node1.log").touch()
    assert cli.main(["logs", component]) == 1
    assert f"no component {component!r}: there are kubelet-node1" in capsys.readouterr().err


def test_a_problem_is_one_line_and_exit_code_1(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["kubeconfig"]) == 1
    assert capsys.readouterr().err == "localkube: no instance 'localkube' is up: run `localkube --name localkube up`\n"
    assert cli.main(["status"]) == 3
