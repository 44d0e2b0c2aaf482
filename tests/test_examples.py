"""The example that people copy runs as it stands, with the model that ships."""

import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from sdk.simulation.scene import Scene

EXAMPLE = Path(__file__).parents[1] / "examples" / "multi_camera_tracking.py"


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A drawn site of one person as two video files."""
    folder = tmp_path_factory.mktemp("site")
    scene = Scene(seed=0, people=1, visits=2, size=(240, 320))
    writers = {}
    for _, frames, _ in scene:
        for camera, frame in frames.items():
            if camera not in writers:
                codec = cv2.VideoWriter_fourcc(*"mp4v")
                writers[camera] = cv2.VideoWriter(str(folder / f"{camera}.mp4"), codec, scene.frame_rate, (320, 240))
            writers[camera].write(frame)
    for writer in writers.values():
        writer.release()
    return [folder / f"{camera}.mp4" for camera in sorted(writers)]


def test_the_example_follows_a_person_through_two_cameras(videos):
    result = subprocess.run([sys.executable, EXAMPLE, *map(str, videos)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [f"person-1 is in {video}" for video in videos]


def test_the_example_is_short():
    assert len(EXAMPLE.read_text().splitlines()) <= 40
