"""What pyproject.toml cannot say: README.md as a package index shows it, where relative links lead nowhere."""

import os
import re
from pathlib import Path

from setuptools import setup

NOTE = "\nFiles and folders above are those of the source repository.\n"


def for_an_index(text: str, repository: str) -> str:
    """README's text with its relative links made absolute: below `repository`, the address of a branch or tag that
    everybody can read, …/blob/v0.1.0. Where that is not known, "", a link becomes the path that it names, and pictures
    go: an address that is wrong is worse than none."""
    if repository:
        pictures = repository.replace("/blob/", "/raw/")
        text = re.sub(r"(!\[[^\]]*\]\()(?![\w+.-]+:)([^)\s]+\))", rf"\1{pictures.rstrip('/')}/\2", text)
        return re.sub(r"(\]\()(?![\w+.-]+:|#)([^)\s]+\))", rf"\1{repository.rstrip('/')}/\2", text)
    text = re.sub(r"!\[[^\]]*\]\((?![\w+.-]+:)[^)]+\)\n*", "", text)
    return re.sub(r"\[([^\]]+)\]\((?![\w+.-]+:|#)([^)\s]+)\)", _path, text) + NOTE


def _path(link: re.Match) -> str:
    words, path = link.groups()
    return f"`{path}`" if words == path.partition("#")[0] else f"{words} (`{path}`)"


README = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")

setup(
    long_description=for_an_index(README, os.environ.get("REID_REPOSITORY", "")),
    long_description_content_type="text/markdown",
)
