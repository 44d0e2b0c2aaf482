"""What a site teaches without a label: cameras that differ, strangers, when people come back."""

import numpy as np
import pytest

from sdk import Gallery
from sdk.calibration.site import measure_site_prior
from sdk.engines.metadata import Metadata
from sdk.errors import DataError
from sdk.tracking.association import Identities
from sdk.tracking.config import TrackerConfig
from sdk.tracking.reason import Thresholds
from sdk.tracking.site import SiteModel, SitePrior, Witnesses
from sdk.tracking.site.cameras import CameraStatistics
from sdk.tracking.site.newcomers import ONCE, concentration
from sdk.tracking.tracklet import Tracklet

DIM = 48
THRESHOLDS = Thresholds(0.5, 0.6)


def unit(vector):
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class Passages:
    """People who pass cameras one after the other, as the tracker's tracklets: a look, what the camera adds, noise."""

    def __init__(self, seed=0, noise=0.5, config=None, alike=0.0):
        """alike: what everybody wears, against the length 1 of what is their own."""
        self.rng = np.random.default_rng(seed)
        self.noise, self.alike = noise, alike
        self.uniform = unit(self.rng.normal(size=DIM))
        self.cameras: dict[str, np.ndarray] = {}
        self.events = []
        site = SiteModel(SitePrior.at(THRESHOLDS.tracklet))
        self.identities = Identities(Gallery(), self.events.append, 2.0, site=site, config=config)
        self.now, self.count = 0.0, 0
        self.of: dict[tuple[str, int], int] = {}
        self.looks: dict[int, np.ndarray] = {}

    def crop(self, camera, person):
        colour = self.cameras.setdefault(camera, 0.8 * unit(self.rng.normal(size=DIM)))
        look = self.looks.setdefault(person, unit(self.rng.normal(size=DIM)))
        noise = self.noise * unit(self.rng.normal(size=DIM))
        return unit(look + self.alike * self.uniform + colour + noise)

    def passes(self, *people, cameras=("dock", "lobby"), gap=3.0, crops=20):
        """People walk past `cameras` together, each for some seconds; returns the tracklet that ends last."""
        for camera in cameras:
            tracklets = []
            for person in people:
                self.count += 1
                tracklets.append(Tracklet(camera, self.count, self.now, self.now, seen=crops, changed=crops, frame=0.2))
                self.of[camera, self.count] = person
                self.identities.tracklets[camera, self.count] = tracklets[-1]
            for _ in range(crops):
                for person, tracklet in zip(people, tracklets, strict=True):
                    tracklet.add(1.0, self.crop(camera, person), self.now)
                    tracklet.last = self.now
                self.decide()
                self.now += 0.2
            self.wait(gap)
        return tracklets[-1]

    def wait(self, seconds):
        for _ in range(int(seconds)):
            self.now += 1.0
            self.decide()

    def decide(self):
        self.identities.decide(self.now, self.now, THRESHOLDS, self.now - 2, self.now - 8)
        self.identities.forget_before(self.now - self.identities.config.memory_seconds)

    def names(self, *people):
        """All names that have been given to each of them, by what the events say in the end."""
        last, merged = {}, {}
        for event in self.events:
            if event.kind == "identified":
                last[event.camera, event.track] = event.identity
            elif event.kind == "merged":
                merged[event.detail["other"]] = event.identity
        found = {person: set() for person in people}
        for key, name in last.items():
            while name in merged:
                name = merged[name]
            if self.of[key] in found:
                found[self.of[key]].add(name)
        return [found[person] for person in people]


def test_a_camera_that_sees_one_person_for_ten_minutes_does_not_lose_them():
    """Their own look must not be taken for what the camera adds."""
    site = Passages(seed=1)
    for _ in range(40):
        site.passes(0, cameras=["dock"], gap=12.0)
    for person in range(8):
        site.passes(person, cameras=["lobby"])
    site.wait(6)
    (mine,) = site.names(0)
    assert len(mine) == 1, "one name in both cameras"
    assert all(mine.isdisjoint(names) for names in site.names(*range(1, 8)))
    last = site.passes(0, cameras=["dock"])
    said = site.identities.explain("dock", last.track)
    assert said.identity in mine
    assert "camera 'dock' has seen one person, too few" in said.words
    assert said.evidence == pytest.approx(said.look + said.odds)


def test_a_camera_that_is_added_after_an_hour_knows_everybody():
    site = Passages(seed=2)
    for _ in range(4):
        for person in range(10):
            site.passes(person)
        site.wait(600)
    for person in range(10):
        last = site.passes(person, cameras=("dock", "yard", "lobby"))
    site.wait(6)
    names = site.names(*range(10))
    assert [len(found) for found in names] == [1] * 10
    assert len(set.union(*names)) == 10
    assert "yard" not in site.identities.explain("lobby", last.track).words


def test_a_camera_whose_colours_change_at_noon_is_learned_anew():
    site = Passages(seed=3)
    for person in range(40):
        site.passes(person)
    before = site.names(*range(40))
    site.cameras["dock"] = 1.5 * unit(np.random.default_rng(9).normal(size=DIM))
    for person in range(40, 80):
        last = site.passes(person)
        if person == 55:
            dock = site.identities.tracklets["dock", last.track - 1]
            said = site.identities.explain("dock", dock.track).words
    assert "the colours of camera 'dock' have changed" in said
    after = site.names(*range(56, 80))
    assert np.mean([len(names) == 1 for names in before]) >= 0.9
    assert np.mean([len(names) == 1 for names in after]) >= 0.9, "who comes when it is learned has one name again"
    assert len(set.union(*site.names(*range(80)))) >= 75, "and nobody is taken for another"


def test_thirty_people_in_uniform_are_thirty():
    """Most of what they show is what all show. Who are seen at once are strangers all the same, and near each other: so
    nearer is asked of a match."""
    site = Passages(seed=4, noise=0.35, alike=2.0)
    for _ in range(2):
        for person in range(0, 30, 2):
            last = site.passes(person, person + 1)
    site.wait(6)
    plain = site.crop("dock", 0) @ site.crop("dock", 1)
    assert 1 - plain < 0.35, "by the model's distance any two are one person"
    names = site.names(*range(30))
    assert 28 <= len(set.union(*names)) <= 40
    owners = [name for found in names for name in found]
    assert len(owners) - len(set(owners)) <= 1, "nobody bears another's name, but for one in thirty"
    said = site.identities.explain("lobby", last.track)
    assert f"strangers here are {said.stranger:.2f} apart" in said.words


def test_who_is_alone_is_not_taken_away_from_themselves():
    statistics = CameraStatistics()
    me = unit(np.arange(1, DIM + 1, dtype=float))
    for _ in range(50):
        statistics.add("dock", me, weight=1 / 50)
    assert statistics.people("dock") == pytest.approx(1)
    left = statistics.normalised(me[None], np.array(["dock"], object))
    assert left[0] @ me > 0.9
    assert "one person" in statistics.notes("dock")[0]


def test_times_say_who_may_be_whom():
    """People who go from the dock to the lobby in twenty seconds, many of them; hours apart says little."""
    rng = np.random.default_rng(0)
    rows, person = [], []
    for number in range(60):
        look, start = unit(rng.normal(size=DIM)), 40.0 * number
        for camera, at in (("dock", start), ("lobby", start + 20 + rng.uniform(0, 5))):
            rows.append((camera, at, at + 3, unit(look + 0.4 * unit(rng.normal(size=DIM)))))
            person.append(number)
    camera, first, last, features = zip(*rows, strict=True)
    model = SiteModel(SitePrior.at(0.6))
    seen = model.prepare(Witnesses(np.array(camera, object), np.array(first), np.array(last), np.array(features)))
    person = np.array(person)
    for _ in range(3):
        model.learn(seen, person, np.zeros((len(person), len(person)), bool))
    odds = model.evidence(seen, seen).odds
    same = (person[:, None] == person[None]) & ~np.eye(len(person), dtype=bool)
    other = (person[:, None] != person[None]) & (np.array(camera)[:, None] != np.array(camera)[None])
    assert odds[same].mean() > np.median(odds[other]) + 2
    assert model.likeness.stranger[1] == pytest.approx(1.0, abs=0.15)


def test_a_prior_is_kept_whole_and_a_damaged_one_is_refused():
    measured = SitePrior(mean=np.ones(4, np.float32), deviation=np.ones(4, np.float32), data="people")
    again = SitePrior.from_dict(measured.to_dict())
    assert (again.stranger, again.returns, again.data) == (measured.stranger, measured.returns, "people")
    np.testing.assert_array_equal(again.mean, measured.mean)
    for damaged in (
        {"stranger": [1, 1]},
        measured.to_dict() | {"returns": [[1], [2]]},
        measured.to_dict() | {"mean": "x"},
    ):
        with pytest.raises(DataError, match="prior for sites cannot be read"):
            SitePrior.from_dict(damaged)


def test_the_model_that_ships_has_a_prior_of_real_people_and_so_has_whatever_is_made_of_it():
    from sdk.engines import DEFAULT_MODEL, load_engine

    metadata = load_engine(DEFAULT_MODEL).metadata
    assert "Market-1501" in SitePrior.of(metadata, 0.5).data
    half = Metadata("resnet18", (128, 64), metadata.embedding_dim, "fp16", checkpoint_sha256=metadata.checkpoint_sha256)
    assert "Market-1501" in SitePrior.of(half, 0.5).data
    foreign = SitePrior.of(Metadata("osnet", (256, 128), 512, "fp32"), 0.39)
    assert foreign.mean is None
    assert foreign.neutral[1] * foreign.stranger[1] == pytest.approx(0.39)


def test_a_distance_that_is_given_decides_alone():
    model = SiteModel(SitePrior.at(0.4, 0.4), learns=False)
    rows = [unit(np.array([1.0, x, 0])) for x in (0, 0.5, 1.0, 2.0)]
    seen = model.prepare(
        Witnesses(np.array(["dock", "dock", "lobby", "lobby"], object), np.arange(4.0), np.arange(4.0), np.array(rows))
    )
    found = model.evidence(seen, seen)
    distance = 1 - np.array(rows) @ np.array(rows).T
    np.testing.assert_array_equal(found.total >= 0, distance <= 0.4)
    assert not found.odds.any()


def test_settings_are_read_and_wrong_ones_are_named(tmp_path):
    file = tmp_path / "settings.yaml"
    TrackerConfig(lost_seconds=4).save(file)
    assert TrackerConfig.load(file) == TrackerConfig(lost_seconds=4)
    file.write_text("")
    assert TrackerConfig.load(file) == TrackerConfig()
    for text, message in (
        ("lost: 3", "no setting 'lost'; there are caution"),
        ("lost_seconds: 0", "lost_seconds is 0; give a number above 0"),
        ("lost_seconds: [1]", r"lost_seconds is \[1\]; give a number"),
        ("min_quality: 3", "from 0 to 1"),
        ("late_seconds: 1", "less than lost_seconds"),
        ("- 1", "holds no settings"),
        ("a: b: c", "cannot be read as settings"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=message) as caught:
            TrackerConfig.load(file)
        assert str(file) in str(caught.value)
    with pytest.raises(DataError, match=r"nowhere\.yaml"):
        TrackerConfig.load(tmp_path / "nowhere.yaml")


def test_a_prior_is_measured_on_people_who_are_known():
    rng = np.random.default_rng(0)
    colours = {camera: 0.3 * unit(rng.normal(size=DIM)) for camera in ("dock", "lobby")}
    rows = []
    for person in range(60):
        look = unit(rng.normal(size=DIM))
        for number, (camera, colour) in enumerate(colours.items()):
            features = unit(look + colour + 0.6 * unit(rng.normal(size=DIM)))
            rows.append((features, person, camera, 60.0 * person + 10 * number, 60.0 * person + 10 * number + 4))
    features, person, camera, first, last = (np.array(column) for column in zip(*rows, strict=True))
    found = measure_site_prior(features, person, camera, first, last, data="sixty people")
    assert found.stranger[1] == pytest.approx(1.0, abs=0.1)
    assert 0.4 < found.neutral[1] < 0.95
    assert found.returns[1][3] > 0.4, "half of the tracklets have another of their person in 5 to 15 s"
    assert found.returns[1][5] < 0.01
    assert found.neutral[0] == SitePrior.neutral[0], "nobody passed a camera twice"
    with pytest.raises(DataError, match="20 tracklets are too few"):
        measure_site_prior(features[:20], person[:20], camera[:20])
    with pytest.raises(DataError, match="pairs of one person in two cameras"):
        measure_site_prior(features[::2], person[::2], camera[::2])


def test_the_weight_of_somebody_new_is_that_of_the_people_seen():
    """K people in n tracklets are what a process of that concentration has on average: K = a log(1 + n/a)."""
    for people, tracklets in ((0, 0), (3, 3), (30, 434), (300, 600)):
        a = concentration(people, tracklets)
        assert a * np.log1p((tracklets + ONCE[1]) / a) == pytest.approx(people + ONCE[0], rel=1e-6)
    assert concentration(11, 120) < concentration(25, 120) < concentration(120, 120)


def _learned(site, people, tracklets):
    """A site model that has seen so many tracklets, of each person as many, each alone, a minute apart."""
    rng = np.random.default_rng(1)
    looks = np.stack([unit(rng.normal(size=DIM)) for _ in range(people)])
    person = np.arange(tracklets) % people
    first = 60.0 * np.arange(tracklets)
    seen = site.prepare(Witnesses(np.array(["dock"] * tracklets, object), first, first + 5, looks[person]))
    site.learn(seen, person, np.zeros((tracklets, tracklets), bool))
    return site


def test_where_few_people_come_again_and_again_a_name_needs_less_than_where_all_pass_once():
    often, once = (_learned(SiteModel(SitePrior.at(0.6)), people, 60) for people in (6, 60))
    # What two tracklets are worth that look neither alike nor unlike, at a gap that is usual there.
    gaps = {site: site.returns.usual - site.newcomer for site in (often, once)}
    assert gaps[often] > gaps[once] + 2
    assert often.returns.others > 5 > 0.5 > once.returns.others


def test_who_comes_back_often_does_so_after_gaps_that_were_never_seen():
    often, once = (_learned(SiteModel(SitePrior.at(0.6)), people, 60) for people in (6, 60))
    unseen = np.array([[2]])  # 2 to 5 s; these are a minute apart
    rate_often, rate_once = (
        site.returns.log_odds(np.array([0]), np.array([0]), unseen)[0, 0] for site in (often, once)
    )
    assert rate_often > rate_once + 1
