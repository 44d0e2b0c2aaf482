"""What README.md and docs/ show is done, in small: commands, Python and YAML. How to annotate: tests/docs_runner.py."""

import ast
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from pathlib import Path

import numpy as np
import pytest
import supervision as sv
from typer.testing import CliRunner

from sdk.cli import build_app
from sdk.errors import ReIDError
from tests.docs_runner import Block, blocks_of, check_python, check_reid, inline_commands, words_of

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("CONTRIBUTING.md"))]
HOW = (
    "\nA block of a page is run by tests/test_docs.py in a folder with small files of the usual names (`stage` there). "
    "Make it small by a line in SMALL, or put a comment before it, an empty line after:\n"
    "    <!-- not run: needs a GPU -->     commands and imports are still held against what is there\n"
    "    <!-- file: site.yaml -->          a file that commands of this page read\n"
    "    <!-- shown: what is printed -->   no input at all: a drawing, what a command prints"
)

SMALL_TRAINING = "--width 8 --height 64 --epochs 1 --batch-identities 2 --batch-images 2 --hold-out 4"
SMALL = [
    (r"(\w+=)?rtsp://[\w:@]*10\.0\.0\.7/stream1", "dock=dock.mp4"),
    (r"lobby=usb:0", "lobby=lobby.mp4"),
    (r" yard=csi:0", ""),
    (r"^(reid gallery restore .*)$", r"\1 --overwrite"),
    (r"^(reid track (?!.*--det).*)$", r"\1 --detector motion"),
    (r"^(reid track .*)$", r"\1 --rate 5 --overwrite"),
    (r"--data simulated -o run", f"--data simulated --identities 8 {SMALL_TRAINING} -o drawn-run"),
    (r"^(reid train .*?)(--output|-o) run", rf"\1 {SMALL_TRAINING} -o new-run"),
    (r"--cameras 4 --people 30 --minutes 2 -o site", "--cameras 2 --people 2 --minutes 0.05 --height 120 -o new-site"),
    (r"--identities 200( --cameras 2)? -o people", "--identities 4 -o new-people"),
    (r"RESULT TRUTH", "out truth"),
]
"""What is put in place of what takes long or is not here; in order, on a whole command line."""

SMALL_PYTHON = [
    (r"rtsp://10\.0\.0\.7/stream1", "dock.mp4"),
    (r"usb:0", "lobby.mp4"),
    (r"rate=10, ", "rate=5, "),
    (r"MultiCameraTracker\(ReIdentifier\(\)\)", 'MultiCameraTracker(ReIdentifier(), "motion")'),
    (r"xyxy=boxes,", 'xyxy=boxes["dock"],'),
    (r'\.explain\("dock", 7\)(\.words)?', ".explain"),  # which tracks there are is not known beforehand
    (r'\("dock", 7\): "ann", \("lobby", 3\): None', '("lobby", 1): "ann"'),
]
"""The same in snippets of Python."""

LEFT = {
    r"^(pip|python3? -m (venv|pip)|sudo|make|cmake|\.|source|cd|echo|nvcc|cat|grep)\b": "sets up a machine",
    r"^curl\b": "asks a page that runs",
    r"--events -$": "writes to the standard output itself: tests/test_event_sinks.py",
    r"…": "stands for more",
    r"detector get": "needs a network",
    r"(market1501|viper|cuhk03|msmt17|mars)\S*:": "needs a research data set",
    r"--recipe (edge|market1501)": "takes hours",
    r"rtspsrc": "needs a camera",
    r"^reid gallery reembed": "needs a gallery with crops: tests/test_gallery_commands.py",
    r"\.engine\b": "builds an engine: tests/test_tensorrt.py",
    r"^reid serve\b": "goes on until it is ended: tests/test_serve.py",
    r"^reid (human|ablate|adapt)\b": "takes minutes: has a file of tests",
    r"^python benchmarks/": "takes minutes, and is loaded by test_scripts_take_what_pages_and_their_own_words_say",
}
"""Commands that are held against the command line and not run, and why."""


@pytest.fixture(scope="module")
def app():
    return build_app()


@pytest.fixture(scope="module")
def prepared(drawn_people, small_run, small_onnx, tmp_path_factory) -> Path:
    """A folder with what the pages speak of, under the names that they use."""
    import cv2

    from sdk import Gallery, ReIdentifier
    from sdk.simulation.site import Site, write_site

    folder = tmp_path_factory.mktemp("docs") / "prepared"
    write_site(folder / "site", Site(seed=0, cameras=2, people=1, seconds=6, size=(240, 320)))
    videos = sorted((folder / "site").glob("*.mp4"))
    for name, video in zip(("dock", "lobby", "lab-a", "lab-b"), videos * 2, strict=True):
        shutil.copy(video, folder / f"{name}.mp4")
    shutil.copytree(drawn_people, folder / "people")
    shutil.copytree(small_run, folder / "run")
    shutil.copy(small_onnx, folder / "model.onnx")
    crops = sorted((folder / "people").rglob("*.png"))
    for name, crop in zip(("ann1.png", "ann2.png", "somebody.png", "a.png", "b.png", "a.jpg"), crops, strict=False):
        shutil.copy(crop, folder / name)
    for name in ("ours.onnx", "new.onnx"):
        shutil.copy(small_onnx, folder / name)
    truth = (folder / "site" / "truth" / "tracks.jsonl").read_text().replace("camera-1", "dock")
    (folder / "truth").mkdir()
    (folder / "truth" / "tracks.jsonl").write_text(truth.replace("camera-2", "lobby"))
    (folder / "boxes").mkdir()
    (folder / "boxes" / "dock.txt").write_text("1,-1,40,40,60,140,0.9\n")
    (folder / "boxes" / "lobby.txt").write_text("1,-1,40,40,60,140,0.9\n")
    (folder / "settings.yaml").write_text("review_seconds: 5\n")
    (folder / "site.yaml").write_text("cameras: {dock: dock.mp4}\ndetector: motion\nrate: 5\noutput: runs\n")
    (folder / "token").write_text("x" * 32)
    shutil.copytree(folder / "people" / crops[0].parent.name, folder / "photos")
    (folder / "crops").symlink_to("photos")
    (folder / "list.txt").write_text("somebody.png\n")
    (folder / "sdk" / "models").mkdir(parents=True)
    with Gallery(str(folder / "site.db")) as gallery:
        reid = ReIdentifier(gallery=gallery)
        for name, crop in zip(("ann", "person-7", "person-3", "person-9", "person-5"), crops[::8], strict=False):
            reid.enroll([cv2.imread(str(crop))], identity=name, camera="dock")
    arguments = ["track", "dock.mp4", "lobby.mp4", "-o", "out", "--detector", "motion", "--rate", "5"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        told = CliRunner().invoke(build_app(), [*arguments, "--store-crops"])
    assert told.exit_code == 0, told.output
    return folder


@pytest.fixture
def stage(prepared, tmp_path, monkeypatch) -> Path:
    """A copy of the prepared folder, in which we are."""
    folder = tmp_path / "stage"
    shutil.copytree(prepared, folder, symlinks=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> dict[str, str]:
    """The environment of somebody who has the three rooms installed, and another project's package `tests`."""
    folder = tmp_path_factory.mktemp("installed")
    for room in ("sdk", "training", "converters"):
        (folder / room).symlink_to(ROOT / room)
    (folder / "tests").mkdir()
    (folder / "tests" / "__init__.py").touch()
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PYTHONPATH": str(folder)}


@pytest.fixture(scope="module")
def scripts_wrong(installed) -> dict[str, str | None]:
    """`python SCRIPT …` of every page and of every script's own docstring → what is wrong with it."""
    lines = {line for page in PAGES for line in _python_lines(page)}
    for script in [*ROOT.glob("benchmarks/*.py"), *ROOT.glob("docs/*.py"), *ROOT.glob("examples/*.py")]:
        usage = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
        lines |= {
            line.strip() for line in usage.splitlines() if re.match(r"\s*python (benchmarks|docs|examples)/", line)
        }
    lines = sorted(lines)
    words = [words_of(line.partition("(")[0])[1:] for line in lines]
    command = [sys.executable, ROOT / "tests" / "docs_runner.py"]
    done = subprocess.run(
        command, input=json.dumps(words), cwd=ROOT, env=installed, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(lines, json.loads(done.stdout.splitlines()[-1]), strict=True))


def _python_lines(page: Path) -> list[str]:
    shown = [line for block in blocks_of(page) if block.note != "shown" for line in block.commands()]
    return [
        line.partition(" #")[0].strip()
        for line in [*shown, *inline_commands(page)]
        if re.match(r"python (benchmarks|docs|examples)/\S+\.py", line)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_shows_works(page, app, stage, request):
    runner = Page(app, stage)
    for block in sorted(blocks_of(page), key=lambda block: block.note != "file"):  # commands may come before their file
        wrong = runner.do(block)
        if wrong is not None:
            pytest.fail(f"{block.place}: {wrong}{HOW}", pytrace=False)
    for name in runner.files:
        if not any(name in line for line in runner.commands):
            pytest.fail(f"{page.name}: no command of this page reads {name}{HOW}", pytrace=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_text_of_a_page_are_there(page, app):
    for line in inline_commands(page):
        if line.startswith("reid "):
            wrong = check_reid(app, line.split()[1:], whole=False)
            assert wrong is None, f"{page.name}: `{line}`: {wrong}"


def test_scripts_take_what_pages_and_their_own_words_say(scripts_wrong):
    """As from a clone in which the three rooms are installed: no other module of ours is on the path."""
    assert "python benchmarks/gallery.py" in scripts_wrong
    assert {line: wrong for line, wrong in scripts_wrong.items() if wrong} == {}


def test_the_kills_are_counted_by_the_command_that_readme_names(installed, tmp_path):
    output = tmp_path / "gallery.json"
    command = [sys.executable, "benchmarks/gallery.py", "--only", "kills", "--rounds", "1", "--output", output]
    done = subprocess.run(command, cwd=ROOT, env=installed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(output.read_text())["kills"]["lost"] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("    reid gallery lisst site.db\n", "no command 'lisst'"),
        ("    reid report out --outptu x.html\n", "No such option"),
        ("    reid report\n", "Missing argument"),
        ("<!-- not run: needs a GPU -->\n\n    reid track a.mp4 \\\n      --detektor hog -o out\n", "No such option"),
        ("    reid report nowhere -o x.html\n", "nowhere"),
        ("    sl -a\n", "no command that this test knows"),
        ("    pip install 'aligned-reid[trakc]'\n", "no extra trakc"),
        ("    make demonstration\n", "no target demonstration"),
        ("```python\nreid.matsch(crops)\n```\n", "matsch"),
        ("<!-- not run: needs a GPU -->\n```python\nfrom sdk import Galery\n```\n", "no Galery in sdk"),
        ("<!-- not run: needs a GPU -->\n```python\nfrom sdk.galery import Gallery\n```\n", "No module named"),
        ("```toml\na = 1\n```\n", "nobody reads toml"),
    ],
)
def test_what_would_not_work_is_found(text, message, app, stage):
    (stage / "page.md").write_text(f"# A page\n\n{text}\nMore.\n")
    (block,) = blocks_of(stage / "page.md")
    assert message in str(Page(app, stage).do(block))


def test_what_a_comment_exempts_is_not_run(app, stage):
    (stage / "page.md").write_text(
        "<!-- shown: a table -->\n\n    a table\n\n<!-- file: x.yaml -->\n```yaml\nreview_seconds: 5\n```\n"
        "<!-- not run: hours -->\n\n    reid train --data nowhere -o new\n\nHere is\n    no block.\n"
        "\n- a list\n\n    goes on\n"
    )
    page = Page(app, stage)
    assert [page.do(block) for block in blocks_of(stage / "page.md")] == [None, None, None]
    assert (stage / "x.yaml").read_text() == "review_seconds: 5\n"
    assert not (stage / "new").exists()


def test_design_names_every_module():
    script = runpy.run_path(str(ROOT / "docs" / "modules.py"))
    assert script["written"]() == script["section"](), "docs/design.md is behind; mend it: python docs/modules.py"


def test_the_site_has_every_page():
    """`make docs` builds it and checks its links; a page that the navigation leaves out is missed here already."""
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if f"- {page}\n" not in navigation] == []


class Page:
    """What a page has done so far: names of its Python, variables of its shell, files that it wrote."""

    def __init__(self, app, folder: Path):
        self.app = app
        self.folder = folder
        self.names: dict | None = None
        self.files: list[str] = []
        self.commands: list[str] = []
        self._variables: dict[str, str] = {}

    def do(self, block: Block) -> str | None:
        """Run or check a block; what is wrong, or None."""
        if block.note == "shown" or block.kind == "text":
            return None
        if block.note == "file":
            (self.folder / block.reason).write_text(block.text + "\n", encoding="utf-8")
            self.files.append(block.reason)
            return None
        if block.kind in ("python", "py"):
            return check_python(block.text) if block.note else self._run_python(block.text)
        if block.kind not in ("indented", "sh", "bash", "console", ""):
            return f"nobody reads {block.kind}"
        for line in block.commands():
            wrong = self._command(line, run=not block.note)
            if wrong is not None:
                return f"{line}\n{wrong}"
        return None

    def _command(self, line: str, run: bool) -> str | None:
        self.commands.append(line)
        for name, value in self._variables.items():
            line = line.replace(f"${name}", value)
        if (variable := re.fullmatch(r'([A-Z]+)="(.*)"', line)) is not None:
            self._variables[variable[1]] = variable[2]
            return None
        for part in re.split(r"; (?=reid)", line.partition(" #")[0].strip()):
            known = re.match(r"reid |python3? |pip |make ", part)
            left = next((why for pattern, why in LEFT.items() if re.search(pattern, part)), None)
            if run and left is None and known is None:
                return "no command that this test knows"
            wrong = self._check(part)
            if wrong is None and run and left is None:
                wrong = self._run(small(part))
            if wrong is not None:
                return wrong
        return None

    def _check(self, line: str) -> str | None:
        if "$(" in line or not (words := words_of(line)):
            return None
        if words[:3] == ["python", "-m", "converters.convert"]:
            words = ["reid", "convert", *words[3:]]
        if words[0] == "reid":
            return check_reid(self.app, words[1:], whole="…" not in words)
        if words[0] == "make":
            targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            return next((f"no target {word}" for word in words[1:] if "=" not in word and word not in targets), None)
        if words[0] == "pip":
            return next((f"no extra {name}" for name in extras_in(line) if name not in EXTRAS), None)
        return None  # scripts: test_scripts_take_what_pages_and_their_own_words_say

    def _run(self, line: str) -> str | None:
        words = [word for given in words_of(line) for word in (sorted(glob(given)) if "*" in given else [given])]
        if words[0] == "reid":
            with at_most(60, line):
                told = CliRunner().invoke(self.app, words[1:])
            if told.exit_code == 0:
                return None
            why = told.exception if isinstance(told.exception, ReIDError) else repr(told.exception)
            return f"ran as {line}\nexit code {told.exit_code}: {told.output[-1500:]} {why}"
        return "no command that this test knows"

    def _run_python(self, text: str) -> str | None:
        for pattern, instead in SMALL_PYTHON:
            text = re.sub(pattern, instead, text)
        if self.names is None:
            self.names = names_of_pages(self.folder)
        names = dict(self.names)  # every snippet has what is given, not what another made
        try:
            with at_most(60, text):
                exec(compile(text, "<snippet>", "exec"), names)
        except Exception as error:
            return f"{text}\n{type(error).__name__}: {error}"
        finally:
            if names.get("reid") is not self.names["reid"]:
                names["reid"].gallery.close()  # a file of which is opened by the next
        return None


OPTIONAL = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[project.optional-dependencies]\n")[2]
EXTRAS = re.findall(r"^([\w-]+) = \[", OPTIONAL.partition("\n[")[0], re.MULTILINE)


def extras_in(line: str) -> list[str]:
    return [name.strip() for found in re.findall(r"\[([\w,\s-]+)\]", line) for name in found.split(",")]


def small(line: str) -> str:
    for pattern, instead in SMALL:
        line = re.sub(pattern, instead, line)
    return line


@contextmanager
def at_most(seconds: int, what: str) -> Iterator[None]:
    """Fails the test after so many seconds: what never ends is to be annotated."""

    def end(*_):
        pytest.fail(f"{what}\ngoes on for more than {seconds} s{HOW}", pytrace=False)

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def names_of_pages(folder: Path) -> dict:
    """What snippets take for given: a model, crops, frames of two cameras, boxes in them, a tracker."""
    import cv2

    from sdk import Gallery, MultiCameraTracker, ReIdentifier

    reid = ReIdentifier()
    crops = [cv2.imread(str(path)) for path in sorted((folder / "people").rglob("*.png"))[:3]]
    for name in ("bob", "person-3", "person-5", "person-9"):
        reid.enroll(crops, identity=name, camera="dock")
    ok, frame = cv2.VideoCapture("dock.mp4").read()
    assert ok
    frames = {"dock": frame, "lobby": frame.copy()}
    boxes = {camera: np.array([[40, 40, 100, 180]], np.float32) for camera in frames}
    features = reid.embed(crops)
    return {
        "Gallery": Gallery,
        "MultiCameraTracker": MultiCameraTracker,
        "ReIdentifier": ReIdentifier,
        "sv": sv,
        "threading": threading,
        "reid": reid,
        "gallery": reid.gallery,
        "tracker": MultiCameraTracker(reid, "motion"),
        "detector": "motion",
        "crops": crops,
        "features": features,
        "embedding": features.embedding,
        "frame": frame,
        "other_frame": frames["lobby"],
        "frames": frames,
        "boxes": boxes,
        "confidence": np.ones(1, np.float32),
        "following": [(frames, boxes)],
        "ticks": [(tick / 5, frames) for tick in range(3)],
        "time": 1.0,
        "t": 3600.0,
    }
