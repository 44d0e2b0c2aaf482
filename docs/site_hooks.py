"""What the site of the documentation needs besides docs/: README.md and its like as pages, links into the repository.

mkdocs.yml names this file as its hook. A link to a file that is not there fails, as mkdocs' own links do.
"""

import logging
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
ABOVE = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
"""Page of the site → the file above docs/ that it is."""
LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")

log = logging.getLogger("mkdocs.hooks.site")


def on_files(files, config):
    """The files above docs/ become pages."""
    for page, path in ABOVE.items():
        files.append(File.generated(config, page, content=(ROOT / path).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown, page, **_):
    """Links of a page, as they are in the repository, made those of the site; files that are no page stay a name."""
    above = ABOVE.get(page.file.src_uri)
    folder = "" if above else posixpath.dirname(f"docs/{page.file.src_uri}")
    pages = {path: name for name, path in ABOVE.items()}

    def link(found: re.Match) -> str:
        path = posixpath.normpath(posixpath.join(folder, found[1]))
        if not (ROOT / path).exists():
            log.warning(f"{above or page.file.src_uri}: links to {found[1]}, which is not there")
            return found[0]
        if path.startswith("docs/"):
            path = path.removeprefix("docs/")
        elif path in pages:
            path = pages[path]
        else:  # in the repository alone
            return "]()"
        start = posixpath.dirname(page.file.src_uri) or "."
        return f"]({posixpath.relpath(path, start)}{found[2] or ''})"

    return re.sub(r"\[([^\]]*)\]\(\)", r"\1", LINK.sub(link, markdown))
