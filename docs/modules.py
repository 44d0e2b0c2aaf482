"""Writes the list of modules at the end of docs/design.md: each with the first sentence of its docstring.

python docs/modules.py
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "design.md"
ROOMS = ("sdk", "training", "converters")
START = "## Every module\n"


def first_sentence(path: Path) -> str:
    """Of a module's docstring, on one line, fit for a cell of a table."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(text.partition("\n\n")[0].split())
    return re.split(r"(?<=[^.][^.]\.) (?=[A-Z`])", paragraph)[0].rstrip(".:").replace("|", "\\|")


def section() -> str:
    """The section as it should be: a table a folder, in the order of names. Empty `__init__.py` files are left out."""
    lines = [START, "The first sentence of each, written by `python docs/modules.py`.\n"]
    for room in ROOMS:
        folders = sorted({path.parent for path in (ROOT / room).rglob("*.py")})
        for folder in folders:
            rows = [(path.name, first_sentence(path)) for path in sorted(folder.glob("*.py"))]
            lines += [f"| `{folder.relative_to(ROOT).as_posix()}/` | |", "|---|---|"]
            lines += [f"| `{name}` | {what} |" for name, what in rows if what or name != "__init__.py"]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def written() -> str:
    """The section as the page has it; "" if it has none."""
    _, found, rest = PAGE.read_text(encoding="utf-8").partition(START)
    return found + rest


if __name__ == "__main__":
    before = PAGE.read_text(encoding="utf-8").partition(START)[0].rstrip()
    PAGE.write_text(f"{before}\n\n{section()}", encoding="utf-8")
