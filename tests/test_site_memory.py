"""What a site has taught outlives a restart, tells of nobody in particular, and is never the price of people."""

import sqlite3

import numpy as np
import pytest

from sdk import Gallery, MultiCameraTracker, ReIdentifier
from sdk.engines import Metadata
from sdk.errors import GalleryError
from sdk.gallery import Statistic
from sdk.gallery.statistic import MOST_BYTES
from sdk.tracking.multi_camera import known_site
from sdk.tracking.site import SiteModel, Witnesses
from sdk.tracking.site.memory import SiteMemory, restore, statistics_of
from tests.galleries import earlier_file, features_of, traces
from tests.moving import ColourEngine, World

DIM = 384
FEW = "too few to know what it adds"


def unit(vector):
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def taught(people=30, cameras=("dock", "lobby"), seed=0):
    """A site model that has seen so many people in every camera."""
    rng = np.random.default_rng(seed)
    site = SiteModel()
    looks = [unit(rng.normal(size=DIM)) for _ in range(people)]
    light = np.random.default_rng(99)
    colours = {camera: 0.8 * unit(light.normal(size=DIM)) for camera in cameras}
    rows = [
        (camera, 20.0 * person + 7 * place, unit(looks[person] + colours[camera] + 0.3 * unit(rng.normal(size=DIM))))
        for person in range(people)
        for place, camera in enumerate(cameras)
    ]
    for camera, _, features in rows:
        site.settled(camera, features, 0)
    names, first, features = (np.array(column) for column in zip(*rows, strict=True))
    seen = site.prepare(Witnesses(names.astype(object), first, first + 4, features.astype(np.float32)))
    site.learn(seen, np.repeat(np.arange(people), len(cameras)), np.zeros((len(rows), len(rows)), bool))
    return site, Witnesses(names.astype(object), first, first + 4, features.astype(np.float32))


def test_what_was_learned_is_what_a_restart_begins_with():
    site, seen = taught()
    fresh = SiteModel()
    assert restore(fresh, statistics_of(site, "m"), "m", DIM) == ""
    pairs, before = fresh.prepare(seen), site.prepare(seen)
    np.testing.assert_allclose(pairs.features, before.features, atol=2e-3)
    np.testing.assert_allclose(fresh.likeness.stranger, site.likeness.stranger, rtol=0.01)
    untaught = SiteModel()
    blank = untaught.evidence(untaught.prepare(seen), untaught.prepare(seen))
    often = np.ix_(seen.camera == "dock", seen.camera == "lobby")
    soon = np.isclose(seen.first[seen.camera == "lobby"][None] - seen.first[seen.camera == "dock"][:, None], 7)
    again = fresh.evidence(pairs, pairs).odds[often][soon].mean()
    assert again > blank.odds[often][soon].mean() + 0.3, "everybody goes from the dock to the lobby"
    assert fresh.cameras.people("dock") == pytest.approx(site.cameras.people("dock"))


def test_it_goes_on_learning_and_what_it_keeps_is_bounded():
    site, _ = taught()
    size = sum(len(s.content) for s in statistics_of(site, "m"))
    for turn in range(6):
        fresh = SiteModel()
        restore(fresh, statistics_of(site, "m"), "m", DIM)
        _, seen = taught(seed=turn + 1)
        for camera, features in zip(seen.camera, seen.features, strict=True):
            fresh.settled(camera, features, 0)
        fresh.learn(fresh.prepare(seen), np.arange(len(seen.camera)), np.zeros((len(seen.camera),) * 2, bool))
        site = fresh
    assert site.cameras.people("dock") == pytest.approx(200), "earlier ones are forgotten"
    assert sum(len(s.content) for s in statistics_of(site, "m")) < 1.1 * size
    assert max(pairs for _, pairs in site.likeness.learned) <= 100
    assert site.returns.learned[1].sum(axis=(0, 1)).max() <= 300.001
    many, _ = taught(people=12, cameras=[f"camera-{i}" for i in range(70)])
    assert len(statistics_of(many, "m")) <= 66


def test_nothing_is_kept_of_a_few():
    site, _ = taught(people=9)
    assert not [s for s in statistics_of(site, "m") if b'"name": "dock"' in s.content]
    alone, _ = taught(people=1, cameras=("dock",))
    assert statistics_of(alone, "m") == []
    with pytest.raises(GalleryError, match="of 3 people; a gallery keeps those of 10 or more"):
        Gallery().keep_statistics([Statistic(3, b"")])
    with pytest.raises(GalleryError, match="keep fewer"):
        Gallery().keep_statistics([Statistic(30, bytes(MOST_BYTES + 1))])


@pytest.mark.parametrize("damage", ["another model", "no numbers", "cut", "newer"])
def test_what_is_not_of_this_model_or_cannot_be_read_is_left_alone_and_told(damage, caplog):
    site, seen = taught()
    kept = statistics_of(site, "made by a")
    if damage == "no numbers":
        head, _, content = kept[1].content.partition(b"\n")
        kept[1] = Statistic(30, head + b"\n" + b"\xff" * len(content))
    elif damage == "cut":
        kept[-1] = Statistic(30, kept[-1].content[:-5])
    elif damage == "newer":
        kept[0] = Statistic(30, kept[0].content.replace(b'"format": 1', b'"format": 9'))
    gallery = Gallery()
    gallery.keep_statistics(kept)
    fresh = SiteModel()
    SiteMemory(fresh, gallery, "made by b" if damage == "another model" else "made by a", DIM)
    (told,) = [record.getMessage() for record in caplog.records]
    assert {"another model": "is of model made by a", "newer": "newer release"}.get(damage, "cannot be read") in told
    assert "learned anew" in told
    assert fresh.cameras.people("dock") == 0
    assert np.array_equal(fresh.prepare(seen).features, SiteModel().prepare(seen).features)


PEOPLE = [(40 + 60 * (n % 4), 120 + 40 * (n // 4), 250) for n in range(14)]
"""Their colours."""


class PeopleEngine(ColourEngine):
    """Each of `PEOPLE` looks like themselves."""

    metadata = Metadata("people", (32, 16), DIM, "fp32", threshold={"value": 0.4, "tracklet_value": 0.5})

    def run(self, crops):
        shirts = crops[:, 8, 8].astype(int)
        who = np.abs(shirts[:, None] - np.array(PEOPLE)).sum(axis=2).argmin(axis=1)
        return np.stack([unit(np.random.default_rng(n).normal(size=DIM)) for n in who]), None


def walk(gallery, people, start=0.0):
    """Somebody of each colour passes the dock; the last one's `explain` in words."""
    world = World()
    tracker = MultiCameraTracker(ReIdentifier(PeopleEngine(), gallery=gallery), detector=world, frame_rate=6)
    time = start
    for colour in people:
        for step in range(12):
            tracks = tracker.update({"dock": world.frame((colour, 10 + 8 * step, 50))}, time)
            time += 1 / 6
        words = tracker.explain("dock", int(tracks["dock"].tracker_id[0])).words
        time += 3
    tracker.finish()
    return tracker, words


def test_a_tracker_begins_with_what_the_gallery_has_kept(tmp_path):
    with Gallery(tmp_path / "site.db") as gallery:
        _, first = walk(gallery, PEOPLE[:2])
        assert FEW in first, "too few to be kept"
        assert gallery.statistics() == []
        walk(gallery, PEOPLE[2:], 100.0)
        assert gallery.verify().ok
    with Gallery(tmp_path / "site.db") as gallery:
        kept = gallery.statistics()
        assert kept
        tracker, words = walk(gallery, PEOPLE[:1], 1000.0)
        assert FEW not in words
        assert known_site(tracker.reid, tracker.config).cameras.people("dock") >= 10
    with Gallery(tmp_path / "site.db", read_only=True) as gallery:
        assert gallery.export(tmp_path / "saved") == len(gallery)
        assert gallery.verify().ok
    with Gallery() as other:
        assert other.load(tmp_path / "saved")
        assert other.statistics() == [], "what was learned does not travel with people"


def test_who_passes_every_day_counts_once(tmp_path):
    with Gallery(tmp_path / "site.db") as gallery:
        walk(gallery, PEOPLE)
        tracker, _ = walk(gallery, PEOPLE[:1], 1000.0)
        before = known_site(tracker.reid, tracker.config).cameras.people("dock")
        for day in range(3):
            walk(gallery, PEOPLE[:1], 2000.0 + 1000 * day)
        assert known_site(tracker.reid, tracker.config).cameras.people("dock") < before + 0.6


def test_a_threshold_that_was_given_learns_nothing_and_keeps_what_is_there():
    gallery = Gallery()
    walk(gallery, PEOPLE[:12])
    kept = gallery.statistics()
    tracker = MultiCameraTracker(ReIdentifier(PeopleEngine(), gallery, threshold=0.2), World(), frame_rate=6)
    tracker.finish()
    assert kept
    assert gallery.statistics() == kept


def test_forget_leaves_what_many_have_taught_and_drops_what_a_few_have(tmp_path):
    with Gallery(tmp_path / "site.db") as gallery:
        features = features_of("ann")
        gallery.add(features, identity="ann", camera="dock")
        gallery.add(features_of("bob"), identity="bob", camera="dock")
        secret = features[0].astype("<f2").tobytes()
        gallery.keep_statistics([Statistic(60, b"of many" * 1000), Statistic(12, b"of a few" * 3 + secret)])
        gallery.prune(0.0)
        gallery.merge("bob", into="ann")
        assert len(gallery.statistics()) == 2
        gallery.forget("ann")
        assert [s.people for s in gallery.statistics()] == [60]
        assert not traces(tmp_path, "ann/", features)
        for file in tmp_path.iterdir():
            assert not [trace for trace in (secret, b"of a few") if trace in file.read_bytes()]
    with Gallery(tmp_path / "site.db") as gallery:
        assert [s.content for s in gallery.statistics()] == [b"of many" * 1000]
        assert gallery.verify().ok


def test_who_is_forgotten_in_the_gallery_alone_does_not_come_back_into_it():
    gallery = Gallery()
    tracker, _ = walk(gallery, PEOPLE)
    gallery.forget("person-1")
    tracker.finish()
    assert gallery.statistics() == []


def test_a_tracker_that_forgets_goes_on_with_what_the_others_teach():
    gallery = Gallery()
    tracker, _ = walk(gallery, PEOPLE)
    looks = np.stack([unit(np.random.default_rng(n).normal(size=DIM)) for n in range(len(PEOPLE))])
    assert (mean_of(tracker) @ looks.T > 0.03).all()
    tracker.forget("person-1")
    assert gallery.statistics() == []
    tracker.finish()
    shares = mean_of(tracker) @ looks.T
    assert shares[0] < 0.03
    assert (shares[1:] > 0.03).all()


def mean_of(tracker):
    """What the gallery has kept of the dock."""
    return known_site(tracker.reid, tracker.config).cameras.learned["dock"][0].mean


def test_a_gallery_of_an_earlier_release_opens_and_gets_room_for_it(tmp_path):
    path = tmp_path / "site.db"
    path.write_bytes(earlier_file("gallery-schema-1"))
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE statistic")
    connection.commit()
    connection.close()
    with Gallery(path, read_only=True) as gallery:
        assert gallery.statistics() == []
        assert gallery.verify().ok
    with Gallery(path) as gallery:
        assert gallery.identities() == ["anna", "bob", "kim"]
        gallery.keep_statistics([Statistic(20, b"x")])
    with Gallery(path) as gallery:
        assert gallery.statistics() == [Statistic(20, b"x")]


@pytest.mark.parametrize("how", ["a byte", "a part is gone"])
def test_a_damaged_record_is_told_and_dropped_and_nobody_is_lost(tmp_path, caplog, how):
    path = tmp_path / "site.db"
    with Gallery(path) as gallery:
        gallery.add(features_of("ann"), identity="ann")
        gallery.keep_statistics([Statistic(20, bytes(range(256)) * 40), Statistic(30, b"whole")])
    connection = sqlite3.connect(path)
    if how == "a byte":
        damaged = "CAST(zeroblob(100) || substr(record, 101) AS BLOB)"
        connection.execute(f"UPDATE statistic SET record = {damaged} WHERE slot = 1")
    else:
        connection.execute("DELETE FROM statistic WHERE slot = 2")
    connection.commit()
    connection.close()
    with Gallery(path, read_only=True) as gallery:
        (problem,) = gallery.verify().problems
        assert "what was learned of the site is damaged" in problem
    caplog.clear()
    with Gallery(path) as gallery:
        assert caplog.text.count("learned anew") == 1
        assert gallery.identities() == ["ann"]
        assert [s.content for s in gallery.statistics()] == [b"whole"]
        assert gallery.verify().ok
        gallery.keep_statistics([Statistic(20, b"y" * 9000)])
    caplog.clear()
    with Gallery(path) as gallery:
        assert gallery.statistics() == [Statistic(20, b"y" * 9000)]
        assert gallery.verify().ok
    assert not caplog.text


def test_a_full_disk_costs_what_was_learned_and_nobody(monkeypatch, caplog):
    gallery = Gallery()
    monkeypatch.setattr(gallery, "keep_statistics", lambda _: (_ for _ in ()).throw(GalleryError("the disk is full")))
    tracker, _ = walk(gallery, PEOPLE)
    tracker.finish()
    assert len(gallery.identities()) >= 10
    assert caplog.text.count("the disk is full") == 1


def test_it_is_encrypted_where_people_are(tmp_path):
    pytest.importorskip("cryptography", reason="the extra 'encryption' is not installed")
    with Gallery(tmp_path / "site.db", passphrase="a phrase") as gallery:
        gallery.keep_statistics([Statistic(20, b"name of a camera")])
        for file in tmp_path.iterdir():
            assert b"name of a camera" not in file.read_bytes()
    with Gallery(tmp_path / "site.db", passphrase="a phrase") as gallery:
        assert gallery.statistics() == [Statistic(20, b"name of a camera")]
