"""The features of a run's tracklets on disk: read as written, however the run ended; deleted for real."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from sdk.errors import DataError
from sdk.video.features import NAME, FeatureWriter, drop, read_features
from sdk.video.run_folder import RunFolder

SECRET = np.linspace(0.1, 0.9, 8, dtype=np.float16)
"""Of somebody who is to be deleted."""


def write(folder, count=5):
    with FeatureWriter(folder, "abc123", 8) as writer:
        for track in range(1, count + 1):
            vector = SECRET if track == 2 else np.full(8, track / 10)
            writer.write("dock", track, vector, first=track, last=track + 0.5, crops=6 + track, quality=0.5)
    return folder


@pytest.fixture
def run(tmp_path):
    with RunFolder(tmp_path / "out", "reid track") as folder:
        write(folder)
    return folder.path


def test_features_are_read_as_written(run):
    features = read_features(run)
    assert features.camera.tolist() == ["dock"] * 5
    assert features.track.tolist() == [1, 2, 3, 4, 5]
    assert features.first.tolist() == [1, 2, 3, 4, 5]
    assert features.last.tolist() == [1.5, 2.5, 3.5, 4.5, 5.5]
    assert features.crops.tolist() == [7, 8, 9, 10, 11]
    assert features.quality.dtype == np.float32
    assert features.embedding.dtype == np.float16
    assert features.embedding[1].tolist() == SECRET.tolist()
    assert features.fingerprint == "abc123"
    assert len(features) == 5


def test_no_tracklets_are_features_too(tmp_path):
    features = read_features(write(tmp_path, 0))
    assert len(features) == 0
    assert features.embedding.shape == (0, 8)


def test_the_last_row_of_a_track_counts(tmp_path):
    with FeatureWriter(tmp_path, "abc", 2) as writer:
        for crops in (6, 12):
            writer.write("入口", 1, np.ones(2), first=0, last=crops, crops=crops, quality=1)
        writer.write("dock", 1, np.ones(2), first=0, last=1, crops=6, quality=1)
    features = read_features(tmp_path)
    assert list(zip(features.camera.tolist(), features.crops.tolist(), strict=True)) == [("入口", 12), ("dock", 6)]


def test_a_killed_run_has_all_that_it_wrote(tmp_path):
    code = (
        "import sys, time, numpy as np\n"
        "from sdk.video.features import FeatureWriter; from sdk.video.run_folder import RunFolder\n"
        "with RunFolder(sys.argv[1], 'reid track') as folder, FeatureWriter(folder, 'abc', 8) as writer:\n"
        "    for track in range(3):\n"
        "        writer.write('dock', track, np.ones(8), first=0, last=1, crops=6, quality=1)\n"
        "    print('ready', flush=True); time.sleep(60)"
    )
    killed = subprocess.Popen([sys.executable, "-c", code, tmp_path / "out"], stdout=subprocess.PIPE, text=True)
    try:
        assert killed.stdout.readline() == "ready\n"
        assert len(read_features(tmp_path / "out")) == 3  # while it goes on, too
        killed.send_signal(signal.SIGKILL)
    finally:
        killed.kill()
        killed.communicate()
    assert len(read_features(tmp_path / "out")) == 3
    content = (tmp_path / "out" / NAME).read_bytes()
    (tmp_path / "out" / NAME).write_bytes(content[:-5])  # and where the power fails within a write
    assert len(read_features(tmp_path / "out")) == 2
    assert drop(tmp_path / "out", [("dock", 0)]) == 1
    assert read_features(tmp_path / "out").track.tolist() == [1]


def test_a_file_that_is_cut_short_is_told_at_any_length(run):
    content = (run / NAME).read_bytes()
    begin = content.index(b"\n") + 1
    for length in range(begin, len(content), 7):
        (run / NAME).write_bytes(content[:length])
        with pytest.raises(DataError, match=r"features.bin: is cut short; restore it from a copy, or remove it"):
            read_features(run)


def test_a_file_that_is_damaged_is_told_at_any_byte(run):
    content = (run / NAME).read_bytes()
    begin = content.index(b"\n") + 1
    for place in range(begin, len(content), 5):
        (run / NAME).write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        with pytest.raises(DataError, match=r"features.bin: is (damaged|cut short); restore"):
            read_features(run)
    (run / NAME).write_bytes(content + b"more")
    with pytest.raises(DataError, match="is damaged"):
        read_features(run)


@pytest.mark.parametrize("foreign", [b"", b"PK\3\4 a zip", b"[1]\n", b'{"what": "else"}\n', b"\x80\x04." * 9])
def test_another_programs_file(run, foreign):
    (run / NAME).write_bytes(foreign)
    with pytest.raises(DataError, match=r"features.bin: is no file of tracklet features; move it away"):
        read_features(run)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"format": 2}, "has format 2, this release reads 1: upgrade"), ({"dimensions": 0}, "damaged"),
     ({"dimensions": 7}, "damaged"), ({"fingerprint": None}, "damaged")],
)  # fmt: skip
def test_a_head_that_does_not_fit(run, change, said):
    head, _, rest = (run / NAME).read_bytes().partition(b"\n")
    (run / NAME).write_bytes(json.dumps(json.loads(head) | change).encode() + b"\n" + rest)
    with pytest.raises(DataError, match=said):
        read_features(run)


def test_a_run_without_features(tmp_path):
    with pytest.raises(DataError, match=r"features.bin: no such file; the run kept no features"):
        read_features(tmp_path)
    assert drop(tmp_path, [("dock", 1)]) == 0


def test_who_is_dropped_is_gone_from_the_disk(run):
    litter = run / f".{NAME}.0123abcd.part"  # of a process that was killed while it dropped them
    litter.write_bytes(SECRET.tobytes())
    assert drop(run, [("dock", 2), ("lobby", 2)]) == 1
    assert read_features(run).track.tolist() == [1, 3, 4, 5]
    assert not any(SECRET.tobytes() in path.read_bytes() for path in run.iterdir())
    assert sorted(path.name for path in run.iterdir()) == [NAME, "run.json"]
    assert json.loads((run / "run.json").read_text())["state"] == "finished"
    assert drop(run, [("dock", 2)]) == 0


def test_somebody_is_dropped_while_the_run_goes_on(tmp_path):
    with RunFolder(tmp_path, "reid track") as folder:
        with FeatureWriter(folder, "abc", 8) as writer:
            for track, vector in ((1, np.ones(8)), (2, SECRET), (3, np.ones(8))):
                writer.write("dock", track, vector, first=0, last=1, crops=6, quality=1)
            with pytest.raises(DataError, match="a run is writing into it now"):
                drop(tmp_path, [("dock", 2)])
            assert writer.drop([("dock", 2)]) == 1
            assert SECRET.tobytes() not in (tmp_path / NAME).read_bytes()
            writer.write("dock", 4, np.ones(8), first=0, last=1, crops=6, quality=1)
        assert drop(folder, [("dock", 3)]) == 1
    assert read_features(tmp_path).track.tolist() == [1, 4]


def test_what_cannot_be_written_leaves_the_rest_readable(tmp_path):
    with FeatureWriter(tmp_path, "abc", 8) as writer:
        good = {"first": 0, "last": 1, "crops": 6, "quality": 1}
        writer.write("dock", 1, np.ones(8), **good)
        for vector, change, said in (
            (np.ones(7), {}, r"shape \(7,\), not \[8\]"),
            (np.full(8, np.nan), {}, "no finite numbers"),
            (np.ones(8), {"last": float("inf")}, "no finite numbers"),
        ):
            with pytest.raises(DataError, match=said):
                writer.write("dock", 2, vector, **good | change)
        blocks = writer._blocks
        half = blocks._file

        class Full:
            closed = False

            def write(self, content):
                half.write(content[:9])
                raise OSError(28, "No space left on device")

            def __getattr__(self, name):
                return getattr(half, name)

        blocks._file = Full()
        with pytest.raises(DataError, match=r"features.bin: cannot be written \(No space left on device\)"):
            writer.write("dock", 3, np.ones(8), **good)
        blocks._file = half
        writer.write("dock", 4, np.ones(8), **good)
    assert read_features(tmp_path).track.tolist() == [1, 4]
