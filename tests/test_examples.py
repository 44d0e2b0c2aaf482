"""The example that people copy runs as it stands, with the model that ships."""

import subprocess
import sys
from pathlib import Path

import pytest

from sdk.simulation.site import Site, write_site

EXAMPLE = Path(__file__).parents[1] / "examples" / "multi_camera_tracking.py"


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A drawn site of one person as two video files."""
    folder = tmp_path_factory.mktemp("drawn") / "site"
    write_site(folder, Site(seed=0, cameras=2, people=1, seconds=20, size=(240, 320)))
    return sorted(folder.glob("*.mp4"))


def test_the_example_follows_a_person_through_two_cameras(videos):
    command = [sys.executable, EXAMPLE, "--detector", "motion", *map(str, videos)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert sorted(line for line in lines if " is in " in line) == [f"person-1 is in {video.stem}" for video in videos]
    assert sum(line.startswith("camera_ended") for line in lines) == len(videos)


def test_the_example_is_short():
    assert len(EXAMPLE.read_text().splitlines()) <= 40
