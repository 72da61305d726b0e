"""Style as tests: what a reviewer would otherwise have to say again and again."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from matriarch.ha.reasons import Reason

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = ("core", "podagent", "operator")
ALL_ROOTS = (*SOURCE_ROOTS, "tests", "e2e", "bench")
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
PARAMETERS_MAX = 9
BANNED_NAMES = {"util", "utils", "helper", "helpers", "common", "manager", "misc"}
TEXT_SUFFIXES = {".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".in", ".sh", ".go", ".json", ".tpl", ""}
# Spelled apart, so that this file does not contain what it forbids.
FOREIGN_WORDS = (re.compile(r"/" + r"work/(main|shared)"), re.compile(r"/tmp/" + r"brief"))
NEVER_ROLES = re.compile(r"\b(master|slave)\b", re.IGNORECASE)


def _python(roots: tuple[str, ...]) -> list[Path]:
    return sorted(one for root in roots for one in (ROOT / root).rglob("*.py") if "__pycache__" not in one.parts)


@cache
def _tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = [ROOT / line for line in listing.splitlines()]
    return [one for one in found if one.is_file() and one.suffix in TEXT_SUFFIXES]


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for item in ast.walk(ast.parse(path.read_text())):
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            yield item


def test_files_end_before_they_tire() -> None:
    long = {
        _named(one): lines
        for one in _python(ALL_ROOTS)
        if (lines := len(one.read_text().splitlines())) > FILE_LINES_MAX
    }
    assert not long, f"split these; {FILE_LINES_MAX} lines are the end: {long}"


def test_functions_fit_a_screen() -> None:
    long = {
        f"{_named(path)}:{one.lineno} {one.name}": one.end_lineno - one.lineno + 1
        for path in _python(ALL_ROOTS)
        for one in _functions(path)
        if one.end_lineno is not None and one.end_lineno - one.lineno + 1 > FUNCTION_LINES_MAX
    }
    assert not long, f"longer than {FUNCTION_LINES_MAX} lines: {long}"


def test_functions_ask_for_few_things() -> None:
    many = {
        f"{_named(path)}:{one.lineno} {one.name}": count
        for path in _python(SOURCE_ROOTS)
        for one in _functions(path)
        if one.name != "__init__"  # an object graph's root is given all its parts
        and (count := len(one.args.args) + len(one.args.kwonlyargs) + len(one.args.posonlyargs)) > PARAMETERS_MAX + 1
    }
    assert not many, f"more than {PARAMETERS_MAX} parameters: {many}"


def test_modules_are_named_after_what_they_know() -> None:
    vague = [
        _named(one)
        for one in _python(ALL_ROOTS)
        if one.stem in BANNED_NAMES or BANNED_NAMES & set(one.relative_to(ROOT).parts)
    ]
    assert not vague, f"name these after what they know: {vague}"


def test_modules_say_what_they_are() -> None:
    silent = [
        _named(one)
        for one in _python((*SOURCE_ROOTS, "e2e", "bench"))
        if one.read_text().strip() and ast.get_docstring(ast.parse(one.read_text())) is None
    ]
    assert not silent, f"no docstring: {silent}"


def test_the_operator_folder_is_a_source_root() -> None:
    """With an `__init__.py` there, Python's own `operator` module would be hidden in the checkout."""
    assert not (ROOT / "operator" / "__init__.py").exists()
    done = subprocess.run([sys.executable, "-c", "import operator; operator.eq"], cwd=ROOT, check=False)
    assert done.returncode == 0


def test_nothing_is_swallowed() -> None:
    silent = [
        f"{_named(path)}:{handler.lineno}"
        for path in _python(ALL_ROOTS)
        for handler in ast.walk(ast.parse(path.read_text()))
        if isinstance(handler, ast.ExceptHandler)
        and (handler.type is None or (isinstance(handler.type, ast.Name) and handler.type.id == "Exception"))
        and len(handler.body) == 1
        and isinstance(handler.body[0], ast.Pass)
    ]
    assert not silent, f"a bare `except: pass` hides our own bugs: {silent}"


def test_no_test_is_skipped() -> None:
    marks = re.compile(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)\b")
    skipping = [
        f"{_named(path)}:{number}"
        for path in _python(("tests", "e2e", "bench"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if marks.search(line) and path != Path(__file__)
    ]
    assert not skipping, f"a skipped test shows nothing: {skipping}"


def test_core_reads_no_clock() -> None:
    """An import law cannot see calls."""
    reading = [
        _named(path)
        for path in _python(("core",))
        if not {"kube", "testing"} & set(path.relative_to(ROOT).parts)
        and re.search(r"\b(datetime\.now|datetime\.utcnow|date\.today|time\.time|time\.monotonic)\(", path.read_text())
    ]
    assert not reading, f"the pure core is told the time: {reading}"


@pytest.mark.parametrize("pattern", FOREIGN_WORDS, ids=str)
def test_texts_know_no_workplace(pattern: re.Pattern[str]) -> None:
    found = [_named(one) for one in _tracked() if pattern.search(one.read_text(errors="replace"))]
    assert not found, f"{pattern.pattern} in {found}"


def test_roles_have_one_word_each() -> None:
    """Patroni's old role names appear only where its wire format is read."""
    readers = {
        "core/matriarch/ha/",
        "docs/patroni-compatibility.md",
        "e2e/localkube/",  # a bridge's ports have a `master` in the kernel's own words
        "podagent/matriarch_agent/rest",
        "tests/",
    }
    found = [
        f"{_named(one)}:{number}"
        for one in _tracked()
        if one.suffix in {".py", ".md", ".yaml"} and not any(_named(one).startswith(reader) for reader in readers)
        for number, line in enumerate(one.read_text(errors="replace").splitlines(), 1)
        if NEVER_ROLES.search(line) and "blob/master" not in line
    ]
    assert not found, f"primary and replica are the words: {found}"


def test_every_reason_is_explained() -> None:
    explained = (ROOT / "docs" / "failure-modes.md").read_text()
    missing = [reason.value for reason in Reason if not re.search(rf"\b{reason.value}\b", explained)]
    assert not missing, f"docs/failure-modes.md does not explain {missing}"


def test_links_lead_somewhere() -> None:
    broken = [
        f"{_named(page)}: {link}"
        for page in _tracked()
        if page.suffix == ".md"
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / link).exists()
    ]
    assert not broken, f"dead links: {broken}"


def test_every_lesson_names_a_test_that_exists() -> None:
    text = (ROOT / "docs" / "lessons.md").read_text()
    named = re.findall(r"`((?:tests|e2e)/[^`:]+\.py)::(\w+)`", text)
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).exists() or name not in {one.name for one in _functions(ROOT / path)}
    ]
    assert not missing, f"docs/lessons.md names tests that are not there: {missing}"
    rows = [line for line in text.splitlines() if line.startswith("| ") and "elsewhere" not in line]
    unproved = [row[:60] for row in rows if "::" not in row and not row.startswith("| ---")]
    assert rows and not unproved, f"a lesson without a test is a wish: {unproved}"


def test_locks_carry_hashes_and_no_addresses() -> None:
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        text = lock.read_text()
        assert "://" not in text and "--index" not in text, lock.name
        pinned = re.findall(r"^[a-z0-9][^=\s]*==\S+ \\$", text, re.MULTILINE)
        assert pinned and len(re.findall(r"^    --hash=", text, re.MULTILINE)) >= len(pinned), lock.name
        assert len(pinned) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE)), (
            f"{lock.name} has a line without a hash"
        )


def test_import_laws_are_kept() -> None:
    program = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([str(program)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
