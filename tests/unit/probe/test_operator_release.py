"""How the tests and the demo install the operator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from e2e import images
from e2e.operator_release import OperatorRelease


class _Nothing:
    """A cluster without Deployments, and a Helm that only listens."""

    def __init__(self) -> None:
        self.said: list[tuple[str, ...]] = []

    def __call__(self, *words: str) -> str:
        self.said.append(words)
        return ""

    def items(self, *_: str, **__: str) -> list[Any]:
        return []


def test_an_image_made_from_other_sources_gets_other_pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "core" / "one.py"
    source.parent.mkdir()
    monkeypatch.setattr(images, "ROOT", tmp_path)
    helm = _Nothing()
    release = OperatorRelease(_Nothing(), helm)  # type: ignore[arg-type]
    for text in ("a", "a", "b"):
        source.write_text(text)
        release.install("replicas=1")
    first, again, changed = helm.said
    assert first == again != changed
    assert "replicas=1" in first
    assert any(word.startswith(r"podAnnotations.matriarch\.dev/sources=") for word in first)
