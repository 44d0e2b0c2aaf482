"""Retention goes by the time that a gallery has seen pass: a clock that is wrong deletes nobody."""

import gc
import threading
import time
import weakref

import numpy as np
import pytest

from sdk.gallery import Gallery
from sdk.gallery import ledger as ledger_module
from sdk.gallery.timeline import MOST, SIZE, Timeline
from tests.galleries import earlier_file, features_of, traces

DAY = 86400.0
NOW = 1.8e9
ONE, OTHER = b"1" * 16, b"2" * 16


def ages(line, *times):
    return [round(age, 3) for age in line.ages(np.array(times))]


def test_it_goes_as_the_clock_goes():
    line = Timeline()
    assert line.look(NOW, ONE, 5.0) == 0
    assert line.look(NOW + 10 * DAY, ONE, 5.0 + 10 * DAY) == 0
    assert line.look(NOW + 11 * DAY, OTHER, 1.0) == 0, "off for a day"
    assert ages(line, NOW, NOW + 10 * DAY, NOW - 3 * DAY) == [11 * DAY, DAY, 14 * DAY]
    assert ages(line, NOW + 12 * DAY) == [0], "never negative"
    assert line.ahead == 0
    line.look(NOW + 11 * DAY - 600, OTHER, 2.0)  # put right by ten minutes
    assert ages(line, NOW) == [11 * DAY], "it never goes back"


def test_a_jump_begins_something_new_and_is_not_counted():
    line = Timeline()
    line.look(NOW, ONE, 0.0)
    assert line.look(NOW + 40 * DAY + 60, ONE, 60.0) == 40 * DAY
    assert ages(line, NOW, NOW + 40 * DAY + 60, NOW + 5 * DAY) == [60, 0, 0], "what no stretch has shown is young"
    assert line.ahead == 40 * DAY
    assert line.look(NOW + 120, ONE, 120.0) == -40 * DAY
    assert (line.ahead, ages(line, NOW)) == (0, [120])
    assert line.look(NOW + 3 * DAY, OTHER, 9.0) == pytest.approx(3 * DAY - 120), "off for three days, or so it says"
    assert ages(line, NOW, NOW + 120) == [120, 0]


def test_whoever_is_asked_says_whether_it_has_passed():
    for passed, age in ((True, 40 * DAY + 60), (False, 60)):
        line = Timeline()
        line.look(NOW, ONE, 0.0)
        line.look(NOW + 40 * DAY + 60, ONE, 60.0)
        assert line.settle(passed) == 40 * DAY
        assert ages(line, NOW, NOW + 40 * DAY + 60) == [age, 0]
        assert line.ahead == 0
        line.look(NOW + 41 * DAY + 60, ONE, 60.0 + DAY)
        assert line.ahead == 0


def test_a_clock_that_was_never_set_makes_nobody_old():
    line = Timeline()
    line.look(100.0, ONE, 0.0)
    line.look(NOW, ONE, 50.0)
    assert ages(line, 100.0, 130.0, NOW) == [50, 20, 0]
    line.look(NOW + 9, ONE, 59.0)
    assert ages(line, 1000.0) == [9], "shown by no clock here: as old as the newest stretch"
    line = Timeline()
    line.look(NOW, ONE, 0.0)
    line.look(NOW + 50, ONE, 50.0)
    assert ages(line, 1000.0) == [50], "another site's, enrolled in 1970: as old as what is known"


def test_it_is_kept_and_bounded():
    line = Timeline()
    for start in range(MOST + 20):
        line.look(NOW + start * 9 * DAY, ONE, start * 1.0)
    assert len(line.pack()) == SIZE
    again = Timeline.unpack(line.pack())
    assert again == line
    assert ages(again, NOW)[0] <= MOST + 20, "forgotten stretches make nobody older than was seen"


@pytest.fixture
def clock(monkeypatch):
    """[the clock, seconds of this machine's uptime]."""
    now = [NOW, 0.0]
    monkeypatch.setattr(ledger_module.clock, "time", lambda: now[0])
    monkeypatch.setattr(ledger_module, "uptime", lambda: (ONE, now[1]))
    return now


def passes(clock, seconds):
    clock[0] += seconds
    clock[1] += seconds


@pytest.mark.parametrize("wrong", [40 * DAY, -NOW + 100])
def test_a_wrong_clock_deletes_nobody_and_is_told(tmp_path, clock, caplog, wrong):
    with Gallery(tmp_path / "site.db", retention=30 * DAY) as gallery:
        gallery.add(features_of("before"), identity="before")
        passes(clock, 100.0)
        clock[0] += wrong
        gallery.add(features_of("during"), identity="during")
        assert "the clock has jumped" in caplog.text
        assert gallery.prune(older_than=30 * DAY) == 0
        assert gallery.clock_ahead == (wrong if wrong > 0 else 0)
        clock[0] -= wrong
        passes(clock, 100.0)
        gallery.add(features_of("after"), identity="after")
        assert gallery.identities() == ["after", "before", "during"]
    with Gallery(tmp_path / "site.db") as gallery:
        assert gallery.identities() == ["after", "before", "during"]
        passes(clock, 31 * DAY)
        gallery.add(features_of("now"), identity="now")
        assert gallery.identities() == ["now"]
        assert [line.action for line in gallery.audit()] == ["retention"] * 3


@pytest.mark.parametrize("where", ["memory", "file", "settled"])
def test_retention_runs_out_where_nobody_is_added(tmp_path, clock, monkeypatch, where):
    monkeypatch.setattr(ledger_module, "EXPIRE_EVERY", 0.02)
    path = None if where == "memory" else tmp_path / "site.db"
    with Gallery(path, retention=0.0 if where == "settled" else DAY) as gallery:
        gallery.add(features_of("old-end"), identity="old-end")
        if where == "settled":
            gallery.settle(retention=DAY)
        passes(clock, DAY / 2)
        gallery.add(features_of("new-end"), identity="new-end")
        passes(clock, DAY / 2 + 1)
        wait_for(lambda: gallery.identities() == ["new-end"])
        assert [line.action for line in gallery.audit()] == ["retention"]
        assert not path or traces(tmp_path, "old-end", features_of("old-end")) == []
        gallery.settle(retention=0.0)
        wait_for(lambda: not any(thread.name == "gallery-retention" for thread in threading.enumerate()))
        gallery.settle(retention=DAY)
        passes(clock, DAY)
        wait_for(lambda: gallery.identities() == [])
    wait_for(lambda: not any(thread.name == "gallery-retention" for thread in threading.enumerate()))


def test_a_gallery_that_is_dropped_is_looked_after_no_more(monkeypatch):
    monkeypatch.setattr(ledger_module, "EXPIRE_EVERY", 0.02)
    gallery = Gallery(retention=DAY)
    assert any(thread.name == "gallery-retention" for thread in threading.enumerate())
    dropped = weakref.ref(gallery)
    del gallery
    wait_for(lambda: gc.collect() is not None and dropped() is None)
    wait_for(lambda: not any(thread.name == "gallery-retention" for thread in threading.enumerate()))


def test_retention_that_cannot_be_carried_out_is_told_and_tried_again(tmp_path, clock, monkeypatch, caplog):
    monkeypatch.setattr(ledger_module, "EXPIRE_EVERY", 0.02)
    with Gallery(tmp_path / "site.db", retention=DAY) as gallery:
        gallery.add(features_of("old"), identity="old")
        connection = gallery._journal._connection
        connection.execute("PRAGMA query_only = ON")
        passes(clock, 2 * DAY)
        wait_for(lambda: "people who cannot be deleted: " in caplog.text)
        assert gallery.identities() == ["old"]
        connection.execute("PRAGMA query_only = OFF")
        passes(clock, 1.0)
        wait_for(lambda: gallery.identities() == [])


def wait_for(condition, seconds=20.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_time_that_nobody_saw_counts_when_it_is_said_to_have_passed(tmp_path, clock, monkeypatch):
    with Gallery(tmp_path / "site.db", retention=30 * DAY) as gallery:
        gallery.add(features_of("ann"), identity="ann")
    monkeypatch.setattr(ledger_module, "uptime", lambda: (OTHER, clock[1]))  # the machine was off
    passes(clock, 40 * DAY)
    with Gallery(tmp_path / "site.db") as gallery:
        assert gallery.identities() == ["ann"]
        assert gallery.clock_ahead == 40 * DAY
        gallery.add(features_of("bob"), identity="bob")
    with Gallery(tmp_path / "site.db", read_only=True) as gallery:
        assert gallery.clock_ahead == 40 * DAY, "it is remembered"
    with Gallery(tmp_path / "site.db") as gallery:
        assert gallery.settle_clock(passed=True) == 40 * DAY
        assert gallery.identities() == ["bob"]
        assert gallery.clock_ahead == 0
        assert [line.action for line in gallery.audit()] == ["clock", "retention"]


def test_a_file_of_schema_1_begins_where_its_clock_was(tmp_path, clock):
    path = tmp_path / "site.db"
    path.write_bytes(earlier_file("gallery-schema-1"))
    with Gallery(path, read_only=True) as gallery:
        latest = max(summary.last_added for summary in gallery.describe())
    clock[0] = max(latest, path.stat().st_mtime) + 40 * DAY
    with Gallery(path, retention=30 * DAY) as gallery:
        assert len(gallery.identities()) == 3
        assert gallery.clock_ahead == pytest.approx(40 * DAY, abs=1)


def test_an_idle_gallery_writes_down_what_time_it_was(tmp_path, clock, monkeypatch):
    with Gallery(tmp_path / "site.db", retention=30 * DAY) as gallery:
        gallery.add(features_of("ann"), identity="ann")
        passes(clock, 20 * DAY)
    monkeypatch.setattr(ledger_module, "uptime", lambda: (OTHER, clock[1]))
    passes(clock, 0.5 * DAY)
    with Gallery(tmp_path / "site.db") as gallery:
        assert gallery.clock_ahead == 0
        passes(clock, 10 * DAY)
        gallery.add(features_of("bob"), identity="bob")
        assert gallery.identities() == ["bob"]
