"""A YAML document whose every value knows its line, and whose texts may name secrets."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from sdk.confidential import Confidential
from sdk.errors import DataError, missing_package
from sdk.names import visible
from sdk.reading import parse_yaml

Place = tuple[str | int, ...]
"""Keys and indices on the way to a value."""

_SECRET = re.compile(r"\$\{([^}]*)\}")


@dataclass
class Document:
    """The values of a file, where they stand, and what is wrong with them: all of it, for one message."""

    path: Path
    values: dict = field(default_factory=dict)
    lines: dict[Place, int] = field(default_factory=dict)
    faults: list[tuple[int, str]] = field(default_factory=list)
    secrets: list[Confidential] = field(default_factory=list)
    filled: set[Place] = field(default_factory=set)
    """Texts that named a secret: a number or true and false too may come from the environment, where all is text."""

    def fault(self, place: Place, text: str) -> None:
        """Note what is wrong with a value. What came from the environment or a file is taken out of the text."""
        for secret in self.secrets:
            text = secret.hidden_in(text)
        line = next((self.lines[place[:end]] for end in range(len(place), -1, -1) if place[:end] in self.lines), 1)
        where = ".".join(visible(str(step)) for step in place)
        self.faults.append((line, f"{self.path}:{line}: {f'{where}: ' if where else ''}{text}"))

    def check(self) -> None:
        """Raises `DataError` with all that is wrong, a line each."""
        if self.faults:
            raise DataError("\n".join(text for _, text in sorted(self.faults)))


def read_document(path: str | Path, environment: Mapping[str, str] = os.environ) -> Document:
    """Read a YAML file that holds a mapping; ${NAME} in a text is a variable, ${file:PATH} the text of a file.

    In the user and the password of an address they are percent-encoded. Raises `DataError` naming the file and the
    line, and `MissingPackageError` without PyYAML.
    """
    path = Path(path)
    try:
        import yaml
    except ModuleNotFoundError:
        raise missing_package("pyyaml", "track", f"{path}: a site's YAML file") from None
    document = Document(path)
    try:
        text = path.read_bytes().decode("utf-8")
        document.values = parse_yaml(text)
        loader = yaml.SafeLoader(text)
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise ValueError("it has an alias, *name; write what it stands for")
        root = loader.get_single_node()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); name a site's YAML file") from error
    except ValueError as error:
        mark = getattr(error.__cause__, "problem_mark", None)
        line = "" if mark is None else f":{mark.line + 1}"
        problem = getattr(error.__cause__, "problem", None)  # the whole message quotes the line
        reason = problem or ("is not UTF-8" if isinstance(error, UnicodeError) else error)
        raise DataError(f"{path}{line}: is no YAML ({reason}); docs/site.md shows a site's file") from None
    if not isinstance(document.values, dict):
        raise DataError(f"{path}: holds no site; begin with 'cameras:', and a camera a line under it")
    _note_lines(document, root, (), loader)
    document.values = _with_secrets(document, document.values, (), environment)
    return document


def _note_lines(document: Document, node, place: Place, loader) -> None:
    document.lines.setdefault(place, node.start_mark.line + 1)
    if node.id == "sequence":
        for index, one in enumerate(node.value):
            _note_lines(document, one, (*place, index), loader)
    elif node.id == "mapping":
        seen = set()
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                document.lines[(*place, "<<")] = key.start_mark.line + 1
                document.fault((*place, "<<"), "merges are not taken; write the keys where they belong")
                continue
            name = loader.construct_object(key)
            document.lines[(*place, name)] = key.start_mark.line + 1
            if name in seen:
                document.fault((*place, name), "is there twice; leave one of them")
            seen.add(name)
            _note_lines(document, value, (*place, name), loader)


def _with_secrets(document: Document, value: object, place: Place, environment: Mapping[str, str]) -> object:
    if isinstance(value, dict):
        return {key: _with_secrets(document, one, (*place, key), environment) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_secrets(document, one, (*place, index), environment) for index, one in enumerate(value)]
    if not isinstance(value, str):
        return value

    def put(found: re.Match) -> str:
        secret = _secret(document, found[1], place, environment)
        encoded = quote(secret, safe="")
        document.secrets += map(Confidential, {secret, encoded})
        return encoded if _in_userinfo(value, found) else secret

    if _SECRET.search(value):
        document.filled.add(place)
    return _SECRET.sub(put, value)


def _in_userinfo(text: str, found: re.Match) -> bool:
    """Whether a variable stands where an address has its user and password."""
    begin = text.rfind("://", 0, found.start())
    return (
        begin >= 0 and "/" not in text[begin + 3 : found.start()] and "@" in re.split("[/?#]", text[found.end() :])[0]
    )


def _secret(document: Document, name: str, place: Place, environment: Mapping[str, str]) -> str:
    if name.startswith("file:"):
        path = document.path.parent / name.removeprefix("file:")
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            document.fault(place, f"{path}: cannot be read ({reason})")
            return ""
    if name not in environment:
        document.fault(place, f"the variable {name} is not set in the environment")
    return environment.get(name, "")
