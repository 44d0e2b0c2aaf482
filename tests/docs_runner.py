"""What the documentation shows, taken out of its pages: blocks of commands, of Python, of YAML, and commands in a line.

`blocks_of` finds the blocks of a page in order. An HTML comment before a block says what is done with it:

    <!-- not run: needs a GPU -->     its commands are held against the command line, its Python against the modules
    <!-- file: site.yaml -->          it is written into the scratch folder, where the page's commands find it
    <!-- shown: what is printed -->   it is no input: a drawing, a table, what a command prints

Everything else is run. `check_reid` and `check_python` hold what is not run against what is there.

As a script it takes a JSON list of words of `python …` command lines on its standard input, and says what is wrong with
each: a program that cannot be loaded where nothing of ours is on the path but the three rooms, an option it has not.
"""

import ast
import importlib.util
import json
import re
import runpy
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import typer

COMMENT = re.compile(r"<!--\s*(not run|file|shown)\s*:\s*(.+?)\s*-->")
INLINE = re.compile(r"`((?:reid|python) [^`]+)`")
LIST = re.compile(r"\s*([-*]|\d+\.) ")


@dataclass
class Block:
    """One block of a page."""

    page: str
    line: int
    """Of its first line, from 1."""
    kind: str
    """The fence's word, "" if it has none; "indented" of an indented block."""
    text: str
    note: str = ""
    """"not run", "file", "shown", or "" where no comment stands before the block."""
    reason: str = ""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> list[str]:
        """Its command lines: continued lines are joined, lines of remarks alone left out."""
        joined = re.sub(r"\\\n\s*", " ", self.text)
        return [line.strip() for line in joined.splitlines() if line.strip() and not line.strip().startswith("#")]


def blocks_of(path: Path) -> list[Block]:
    """The code blocks of a page in order, fenced and indented."""
    lines = path.read_text(encoding="utf-8").splitlines()
    blocks: list[Block] = []
    note, before, at = ("", ""), "", 0
    while at < len(lines):
        line = lines[at]
        start = at
        if (fence := re.match(r"( *)(```+|~~~+) *(\w*)", line)) is not None:
            end = next((i for i in range(at + 1, len(lines)) if lines[i].strip() == fence[2]), len(lines))
            body = [text.removeprefix(fence[1]) for text in lines[at + 1 : end]]
            blocks.append(Block(path.name, start + 2, fence[3], "\n".join(body), *note))
            at = end
        elif line.startswith("    ") and not LIST.match(before) and (start == 0 or not lines[start - 1].strip()):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            text = "\n".join(text[4:] for text in lines[at:end]).rstrip()
            blocks.append(Block(path.name, start + 1, "indented", text, *note))
            at = end - 1
        elif (comment := COMMENT.fullmatch(line.strip())) is not None:
            note = (comment[1], comment[2])
            at += 1
            continue
        if line.strip():
            note, before = ("", ""), line
        at += 1
    return blocks


def inline_commands(path: Path) -> list[str]:
    """`reid …` and `python …` of more than one word, in the text of a page, blocks left out."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"^( *)(```+|~~~+).*?^ *\2 *$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^    .*$", "", text, flags=re.MULTILINE)
    return [" ".join(found.split()) for found in INLINE.findall(text)]


def words_of(line: str) -> list[str]:
    """The words of a shell's command line, remarks left out."""
    return shlex.split(line, comments=True)


def check_reid(app: typer.Typer, words: list[str], *, whole: bool = True) -> str | None:
    """What is wrong with the words after `reid`: no such command, no such option, something missing. None: nothing.

    whole: something that is missing is wrong, too. Not in running text, where `reid track --gallery` is a way to
    name an option. Whether files exist is not asked.
    """
    command = typer.main.get_command(app)
    while group := getattr(command, "commands", None):
        if not words:
            return None if not whole else "no subcommand"
        if words[0] not in group:
            known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
            return None if words[0] in known else f"no command '{words[0]}'"
        command, words = group[words[0]], words[1:]
    if not whole:
        known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)} | {"--help"}
        given = [word.partition("=")[0].rstrip(",") for word in words if re.match(r"--?[a-z]", word)]
        return next((f"no option '{word}'" for word in given if word not in known), None)
    try:
        command.make_context("reid", list(words))
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "BadParameter" and "exist" in error.format_message():
            return None
        return error.format_message()
    return None


def check_python(text: str) -> str | None:
    """What is wrong with Python that is not run: it does not compile, or imports what is not there. None: nothing."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        return str(error)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            try:
                module = importlib.import_module(node.module)
            except ImportError as error:
                return str(error)
            for name in node.names:
                if not hasattr(module, name.name):
                    return f"no {name.name} in {node.module}"
        elif isinstance(node, ast.Import):
            missing = [name.name for name in node.names if importlib.util.find_spec(name.name) is None]
            if missing:
                return f"No module named {missing[0]}"
    return None


class _Taken(Exception):
    """The words were taken; the program need not go on."""


def check_script(words: list[str]) -> str | None:
    """What is wrong with `python` and these words: a script that cannot be loaded, an option that it has not."""
    import argparse

    def parse(function) -> None:
        app = typer.Typer(add_completion=False)
        app.command()(function)
        wrong = check_reid(app, words[1:], whole="…" not in words)
        raise _Taken(wrong)

    parse_args = argparse.ArgumentParser.parse_args

    def parse_and_end(parser, *arguments, **named):
        parser.error = lambda message: (_ for _ in ()).throw(_Taken(message))
        parse_args(parser, *arguments, **named)
        raise _Taken(None)

    path, argv, run = list(sys.path), sys.argv, typer.run
    sys.path[0], sys.argv = str(Path(words[0]).parent), words
    typer.run, argparse.ArgumentParser.parse_args = parse, parse_and_end
    source = Path(words[0]).read_text(encoding="utf-8")
    reads = "typer.run(" in source or "ArgumentParser(" in source  # or else it would begin its work
    try:
        runpy.run_path(words[0], run_name="__main__" if reads else "loaded")
    except _Taken as taken:
        return taken.args[0]
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        sys.path[:], sys.argv, typer.run, argparse.ArgumentParser.parse_args = path, argv, run, parse_args
    return "it reads no command line" if reads else None


if __name__ == "__main__":
    print(json.dumps([check_script(words) for words in json.load(sys.stdin)]))
