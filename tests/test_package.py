"""The rooms' doors: sdk stands alone, the command line finds every room, users see lines and not tracebacks."""

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement  # packaging, and tomli on Python 3.10, come with pytest
from packaging.version import Version

try:
    import tomllib
except ImportError:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "sdk": {"training", "converters", "torch", "onnx"},
    "training": {"converters", "onnx"},
}


def imported_modules(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add((node.module or "").split(".")[0])
    return modules


@pytest.mark.parametrize("room", FORBIDDEN)
def test_dependencies_point_one_way(room):
    files = list((ROOT / room).rglob("*.py"))
    assert len(files) > 5
    for path in files:
        assert not imported_modules(path) & FORBIDDEN[room], path


def python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_sdk_matches_where_neither_torch_nor_onnx_is_installed():
    """`None` in sys.modules makes an import fail as it does where the package is absent."""
    result = python(
        "import sys\n"
        "for absent in ('torch', 'onnx', 'onnxscript', 'training', 'converters'): sys.modules[absent] = None\n"
        "import numpy, sdk\n"
        "crop = numpy.full((90, 40, 3), 90, numpy.uint8)\n"
        "reid = sdk.ReIdentifier()\n"
        "reid.enroll([crop], identity='ann')\n"
        "print(reid.match([crop])[0].identity)\n"
    )
    assert result.stdout.strip() == "ann", result.stderr


def test_import_sdk_loads_nothing_heavy():
    result = python(
        "import sys, sdk\n"
        "print({'torch', 'onnx', 'onnxruntime', 'supervision', 'trackers', 'cv2', 'scipy'} & set(sys.modules))"
    )
    assert result.stdout.strip() == "set()", result.stderr


def test_an_unknown_name_is_an_attribute_error():
    import sdk

    with pytest.raises(AttributeError, match="Reidentifier"):
        sdk.Reidentifier  # noqa: B018
    assert "MultiCameraTracker" in dir(sdk)


def reid(*arguments) -> subprocess.CompletedProcess:
    command = "import sys; from sdk.cli import main; sys.argv[0] = 'reid'; main()"
    return subprocess.run(
        [sys.executable, "-c", command, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_every_room_brings_its_subcommands():
    result = reid("--help")
    assert result.returncode == 0, result.stderr
    rooms = ("train", "evaluate", "ablate", "align", "human", "convert")
    for command in (*rooms, "match", "track", "simulate", "demo", "report", "serve"):
        assert command in result.stdout


@pytest.mark.parametrize("theirs", ["training.py", "training/__init__.py", "training/commands.py"])
def test_another_package_called_training_costs_its_commands_alone(theirs, tmp_path):
    (tmp_path / theirs).parent.mkdir(exist_ok=True)
    (tmp_path / theirs).touch()
    (tmp_path / theirs).with_name("__init__.py").touch()
    shadowed = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from sdk.cli import main; sys.argv[0] = 'reid'; main()"
    )
    result = subprocess.run([sys.executable, "-c", shadowed, "--help"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "without the commands of 'training'" in result.stderr
    assert "track" in result.stdout
    assert "calibrate" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--data", "absent", "-o", "run"),
        ("evaluate", "absent.pt", "--data", "absent"),
        ("convert", "absent.pt", "-o", "model.onnx"),
        ("match", "absent.png", "--gallery", "absent"),
        ("track", "absent.mp4", "--output", "out"),
    ],
)
def test_a_missing_file_is_one_line_that_names_it(arguments, tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", "from sdk.cli import main; main()", *arguments],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("error: absent")
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_the_commands_work_one_after_the_other(drawn_people, tmp_path):
    """From crops on disk to a name: train, convert, evaluate both files, match."""
    run = tmp_path / "run"
    trained = reid("train", "--data", drawn_people, "-o", run, "--epochs", 1, "--width", 8, "--height", 64)
    assert trained.returncode == 0, trained.stderr
    model = tmp_path / "model.onnx"
    converted = reid("convert", run / "model.pt", "-o", model, "--crops", drawn_people)
    assert converted.returncode == 0, converted.stderr
    assert "96 crops" in converted.stderr
    tables = [reid("evaluate", file, "--data", drawn_people, "--held-out") for file in (run / "model.pt", model)]
    assert tables[0].returncode == tables[1].returncode == 0, tables[0].stderr + tables[1].stderr
    assert tables[0].stdout == tables[1].stdout != "", "checkpoint and converted model have the same figures"
    query = sorted(drawn_people.glob("*/*.png"))[0]
    matched = reid("match", query, "--gallery", drawn_people, "--model", model)
    assert matched.returncode == 0, matched.stderr
    assert query.parent.name in matched.stdout


def test_people_who_are_drawn_while_training_need_no_files(tmp_path):
    simulated = ("--data", "simulated", "--identities", 6, "--cameras", 2, "--site-cameras", 3)
    small = ("--width", 8, "--height", 64, "--epochs", 1, "--batch-identities", 2, "--batch-images", 2)
    trained = reid("train", *simulated, "-o", tmp_path / "run", *small, "--hold-out", 3)
    assert trained.returncode == 0, trained.stderr
    assert "3 identities, 6 crops to train on; 3 held out" in trained.stderr
    evaluated = reid("evaluate", tmp_path / "run" / "model.pt", *simulated, "--held-out")
    assert evaluated.returncode == 0, evaluated.stderr
    refused = reid("train", *simulated, "--people-seed", 1, "-o", tmp_path / "run", *small, "--resume")
    assert "other settings" in refused.stderr
    impossible = reid("train", *simulated, "--misalignment", 2, "-o", tmp_path / "other", *small)
    assert "0 (none) to 1 (severe)" in impossible.stderr


def test_a_site_is_drawn_by_command(tmp_path):
    drawn = reid(
        "simulate",
        "site",
        "--cameras",
        1,
        "--people",
        1,
        "--minutes",
        0.05,
        "--height",
        120,
        "--out",
        tmp_path / "site",
    )
    assert drawn.returncode == 0, drawn.stderr
    assert {path.name for path in (tmp_path / "site").iterdir()} == {"camera-1.mp4", "truth", "plan.png", "site.json"}
    again = reid("simulate", "site", "--out", tmp_path / "site")
    assert again.returncode == 1
    assert "not empty" in again.stderr


def start_lines() -> dict[str, str]:
    """What is run at every start of the service and of the containers, by file."""
    service = (ROOT / "packaging" / "systemd" / "reid.service").read_text()
    found = {"reid.service": re.search(r"^ExecStart=/opt/reid/bin/(.*)$", service, re.M)[1]}
    for path in (ROOT / "packaging" / "docker").glob("*.Dockerfile"):
        text = path.read_text()
        assert "--restart always" in text
        found[path.name] = re.search(r"^# .*--env-file /etc/reid/reid.env (reid .*)$", text, re.M)[1]
    return found


def test_the_service_and_the_containers_start_one_file():
    """Its every start has a folder of its own: tests/test_site_file.py."""
    assert set(start_lines().values()) == {"reid run /etc/reid/site.yaml"}


def test_nothing_is_sent_to_the_makers_of_the_runtime(tmp_path):
    """ONNX Runtime from 1.29 on keeps a queue of what it will send, and a number of the device, in the user's cache."""
    program = (
        "import numpy as np; from sdk import ReIdentifier; from sdk.tracking.detectors.sessions import open_session;"
        "ReIdentifier().embed([np.zeros((64, 32, 3), np.uint8)]); open_session('sdk/models/default.onnx')"
    )
    silent = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS")  # with these it is silent by itself
    environment = {name: value for name, value in os.environ.items() if name not in silent}
    homes = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, env=environment | homes)
    assert [path for path in tmp_path.rglob("*") if "onnxruntime" in str(path)] == []
    rooms = [path for room in ("sdk", "training", "converters") for path in (ROOT / room).rglob("*.py")]
    assert [path.name for path in rooms if "onnxruntime" in imported_modules(path)] == ["onnx_runtime.py"]


def pinned(python_version: str) -> dict[str, Version]:
    """What constraints.txt says for a Python on Linux, x86-64."""
    place = {"python_version": python_version, "python_full_version": f"{python_version}.0", "sys_platform": "linux"}
    place |= {"platform_machine": "x86_64", "os_name": "posix", "implementation_name": "cpython"}
    place |= {"platform_python_implementation": "CPython"}
    found = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line.partition("#")[0].strip():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate(place):
                (only,) = requirement.specifier
                assert only.operator == "=="
                assert requirement.name not in found, "one version for each Python"
                found[requirement.name] = Version(only.version)
    return found


@pytest.mark.parametrize("python_version", ["3.10", "3.11", "3.12", "3.13"])
def test_every_package_that_tests_need_has_a_version_that_works(python_version):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*extras["dependencies"], *extras["optional-dependencies"]["test"]]
    (ours,) = [Requirement(line) for line in wanted if line.startswith("aligned-reid[")]
    for extra in ours.extras:
        wanted += extras["optional-dependencies"][extra]
    versions = pinned(python_version)
    for requirement in map(Requirement, wanted):
        if requirement.name != "aligned-reid":
            version = versions[requirement.name.lower().replace("_", "-")]
            assert requirement.specifier.contains(version), requirement


def test_everything_is_installed_in_these_versions():
    makefile = (ROOT / "Makefile").read_text()
    assert "INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt" in makefile
    assert len(re.findall(r"^\t\$\(INSTALL\) ", makefile, re.M)) == 4
    assert makefile.count("pip install") == 1
    for path in (ROOT / "packaging" / "docker").glob("*.Dockerfile"):
        text = path.read_text()
        assert 'pip install --no-cache-dir -c constraints.txt ".[${EXTRAS}]"' in text, path
        assert "\nARG EXTRAS=track\n" in text[text.rindex("\nFROM ") :], "of the stage that installs"


def test_the_public_surface_is_checked_strictly_by_both_checkers():
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    checked = tool["mypy"]["files"]
    assert tool["mypy"]["strict"]
    assert tool["pyright"]["typeCheckingMode"] == "strict"
    assert tool["pyright"]["include"] == checked
    import sdk

    homes = {importlib.import_module(getattr(sdk, name).__module__).__file__ for name in sdk.__all__}
    public = {str(Path(file).relative_to(ROOT)) for file in homes}
    assert public | {"sdk/__init__.py", "sdk/errors.py", "sdk/events.py", "sdk/distances.py"} <= set(checked)
    assert not any("type: ignore" in (ROOT / file).read_text() for file in checked)
    lint = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    assert "/mypy" in lint
    assert "/pyright" in lint


def test_the_service_keeps_its_files_to_itself():
    lines = (ROOT / "packaging" / "systemd" / "reid.service").read_text().splitlines()
    assert {"UMask=0077", "StateDirectoryMode=0700"} <= set(lines)
