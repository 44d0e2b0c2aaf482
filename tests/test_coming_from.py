"""docs/coming-from.md: every Python name that it gives for ours is there (its commands: tests/test_docs.py)."""

import importlib
import re
from pathlib import Path

PAGE = (Path(__file__).parent.parent / "docs" / "coming-from.md").read_text(encoding="utf-8")


def test_its_names_are_there():
    names = set(re.findall(r"`((?:sdk|training)(?:\.\w+)+)", PAGE))
    assert len(names) >= 3
    for name in names:
        module, _, what = name.rpartition(".")
        assert hasattr(importlib.import_module(module), what), name
