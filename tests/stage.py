"""A small site for tests of the live page: two cameras, and people of one colour each who walk before them."""

import itertools
import subprocess

import pytest

from sdk import MultiCameraTracker, ReIdentifier
from sdk.events import listening
from sdk.serve import LiveSite
from sdk.video.run import run
from tests.moving import BLUE, GREEN, ColourEngine, World


class Stage:
    """Its sources, its tracker and what the page knows of it."""

    def __init__(self, gallery: str | None = None):
        self.world = World()
        self.reid = ReIdentifier(ColourEngine(), gallery=gallery)
        self.tracker = MultiCameraTracker(self.reid, detector=self.world, frame_rate=6)
        self.site = LiveSite(self.tracker, ["dock", "lobby"])
        self.time = 0.0
        self._kept = []

    def walk(self, ticks, **figures):
        """figures: camera → [(colour, x)]; everybody steps to the right."""
        self.act((ticks, figures))

    def act(self, *scenes, observers=()):
        """Scenes (ticks, figures), one after the other, in one run. observers: beside the page."""
        ended = self.site.ended
        ticks = itertools.chain.from_iterable(self._ticks(*scene) for scene in scenes)
        with listening([self.tracker], [self.site.listen]):
            run(ticks, self.tracker, [*observers, self.site])
        self.site.ended = ended

    def _ticks(self, ticks, figures):
        for tick in range(ticks):
            frames = {}
            for camera, people in figures.items():
                boxes = [(colour, x + 4 * tick, 60) for colour, x in people]
                frames[camera] = self.world.frame(*boxes)
                self._kept.append(frames[camera])
            self.time += 1 / 6
            yield self.time, frames


def make_busy(stage: Stage) -> Stage:
    """Somebody blue and somebody green at the dock; then blue alone in the lobby, green still at the dock."""
    stage.walk(20, dock=[(BLUE, 10), (GREEN, 150)], lobby=[])
    stage.walk(40, dock=[(GREEN, 10)], lobby=[(BLUE, 10)])
    return stage


def make_certificate(folder):
    """`certificate.pem` and `key.pem` of localhost; skips where openssl makes none."""
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("openssl makes no certificate here")
