"""`reid track` and `reid serve` are one loop: what they write of the same files is the same."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sdk.simulation.site import Site, write_site

ROOT = Path(__file__).parents[1]
COMMAND = "import sys; from sdk.cli import main; sys.argv[0] = 'reid'; main()"


def reid(*arguments):
    return [sys.executable, "-c", COMMAND, *map(str, arguments)]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    write_site(folder, Site(3, cameras=2, people=3, seconds=5.0, size=(240, 320)))
    return sorted(folder.glob("*.mp4"))


def test_both_write_the_same_records_names_and_events(videos, tmp_path):
    done = subprocess.run(
        reid("track", *videos, "--detector", "motion", "-o", tmp_path / "tracked", "--no-second-pass"),
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    served = subprocess.Popen(
        reid("serve", *videos, "--detector", "motion", "-o", tmp_path / "served", "--port", "0"),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        said = next((line for line in iter(served.stderr.readline, "") if "the page stays until" in line), None)
    finally:
        os.kill(served.pid, signal.SIGTERM)
        served.wait(20)
    assert said
    assert served.returncode == 0
    (folder,) = (tmp_path / "served").iterdir()
    names = sorted(path.name for path in (tmp_path / "tracked").iterdir() if path.suffix in (".jsonl", ".txt"))
    assert names == ["camera-1.txt", "camera-2.txt", "events.jsonl", "tracks.jsonl"]
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / "tracked" / name).read_bytes(), name
    events = [json.loads(line) for line in (folder / "events.jsonl").open()]
    assert {"identified", "left", "camera_ended"} <= {event["kind"] for event in events}
    assert [json.loads((at / "run.json").read_text())["state"] for at in (folder, tmp_path / "tracked")] == [
        "finished", "finished",
    ]  # fmt: skip
