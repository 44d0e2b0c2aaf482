"""A site that teaches its own model: what is known without labels, what is gathered, and what is refused."""

import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402

from sdk.cli import build_app  # noqa: E402
from sdk.engines import DEFAULT_MODEL  # noqa: E402
from sdk.errors import DataError  # noqa: E402
from sdk.events import Event  # noqa: E402
from sdk.folder import write_image  # noqa: E402
from sdk.re_ranking import jaccard_pairs, re_rank  # noqa: E402
from sdk.simulation.crops import draw_crop  # noqa: E402
from sdk.tracking.site import SitePrior  # noqa: E402
from training.adaptation.choosing import choose_linkage  # noqa: E402
from training.adaptation.clusters import Linkage, average_linkage, cluster, silhouette  # noqa: E402
from training.adaptation.crops import Crop, Crops  # noqa: E402
from training.adaptation.guard import why_not_begin, why_not_keep  # noqa: E402
from training.adaptation.loop import BEST, LAST, Adapted, Look, adapt, usable  # noqa: E402
from training.adaptation.measures import (  # noqa: E402
    Measures,
    agreement,
    chance_of_smaller,
    halves_found,
    measure,
    rand_index,
    usual_distance,
)
from training.adaptation.memory import HARD_PROXIES, Memory, cluster_loss, proxy_loss  # noqa: E402
from training.adaptation.reading import read_crops  # noqa: E402
from training.adaptation.runs import links_of  # noqa: E402
from training.adaptation.settings import Settings  # noqa: E402
from training.adaptation.tracklets import find_tracklets  # noqa: E402
from training.adaptation.vectors import unit, without_cameras  # noqa: E402
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint  # noqa: E402
from training.config import ModelConfig, RunConfig, TrainConfig  # noqa: E402
from training.model import AlignedReID  # noqa: E402

NONE = np.zeros((0, 2), np.int64)


def people(number=20, tracks=2, cameras=2, crops=3, noise=0.3, jitter=0.3, alike=0.0, seed=0, dimensions=32):
    """Crops with tracks, their features, and who they are: each person has `tracks` tracks in each camera."""
    rng = np.random.default_rng(seed)
    looks, shifts = (
        unit(rng.normal(size=(number, dimensions))) + alike,
        0.5 * unit(rng.normal(size=(cameras, dimensions))),
    )
    items, features, who = [], [], []
    for person in range(number):
        for camera in range(cameras):
            for track in range(tracks):
                seen = looks[person] + shifts[camera] + noise * rng.normal(size=dimensions) / dimensions**0.5
                for _ in range(crops):
                    crop = seen + jitter * rng.normal(size=dimensions) / dimensions**0.5
                    items.append(Crop(Path("x"), f"cam{camera}", "", person * tracks + track))
                    features.append(crop)
                    who.append(person)
    return Crops(tuple(items), "made up"), unit(np.array(features)).astype(np.float32), np.array(who)


def gathered(crops, features):
    tracklets = find_tracklets(crops, features)
    plain = without_cameras(features, crops.cameras)
    links = tracklets.cannot, tracklets.must
    linkage = choose_linkage(plain, tracklets)
    labels = cluster(tracklets.means(plain), *links, linkage)
    return tracklets, labels, measure(plain, tracklets, labels, linkage)


def refusal(features, tracklets, labels, before, threshold=0.2):
    return why_not_begin(tracklets, tracklets.means(features), before, usable(labels, tracklets), threshold)


def test_a_model_without_a_threshold_is_judged_by_its_own_tracks():
    near = people(alike=2.0)[:2]  # to this model everybody is close together, and still told apart
    tracklets, labels, before = gathered(*near)
    own = usual_distance(tracklets, near[1])
    assert 0 < own < 0.1
    means, used = tracklets.means(near[1]), usable(labels, tracklets)
    assert "look like one person" in why_not_begin(tracklets, means, before, used, 0.4)
    assert why_not_begin(tracklets, means, before, used, own) is None
    same = people(number=1, tracks=40, noise=0.1)[:2]
    tracklets, labels, before = gathered(*same)
    own = usual_distance(tracklets, same[1])
    refused = why_not_begin(tracklets, tracklets.means(same[1]), before, usable(labels, tracklets), own)
    assert "look like one person" in refused


def test_sparse_jaccard_distances_are_those_of_re_ranking():
    features = unit(np.random.default_rng(0).normal(size=(60, 8)))
    dense = re_rank(features[:25], features[25:], k1=6, k2=2, lambda_value=0)
    pairs, distance = jaccard_pairs(features, 6, 2, 0.9)
    between = (pairs[:, 0] < 25) & (pairs[:, 1] >= 25)
    assert between.sum() == (dense < 0.9).sum() > 20
    np.testing.assert_allclose(distance[between], dense[pairs[between, 0], pairs[between, 1] - 25], atol=1e-9)
    assert (pairs[:, 0] < pairs[:, 1]).all()


def test_average_linkage_obeys_what_cannot_and_must_be():
    pairs = np.array([[0, 1], [1, 2], [0, 2], [2, 3], [4, 5]])
    likeness = np.array([0.9, 0.8, 0.7, 0.2, 0.9])
    assert average_linkage(6, pairs, likeness, 0.3, NONE, NONE).tolist() == [0, 0, 0, 1, 2, 2]
    apart = average_linkage(6, pairs, likeness, 0.3, np.array([[0, 2]]), NONE)
    assert apart[0] == apart[1] != apart[2], "the more alike first, and then nobody who cannot be"
    joined = average_linkage(6, pairs, likeness, 0.3, np.array([[0, 2]]), np.array([[0, 5], [5, 3]]))
    assert joined[0] == joined[3] == joined[5] == joined[4]
    assert joined[2] != joined[0]
    bridge = average_linkage(4, np.array([[0, 1], [1, 2], [2, 3]]), np.array([0.9, 0.5, 0.9]), 0.3, NONE, NONE)
    assert bridge.tolist() == [0, 0, 1, 1], "one bridge between two pairs is a quarter of what all could share"


def test_the_neighbourhood_is_as_large_as_a_person_has_tracks():
    for tracks in (1, 5):
        crops, features, who = people(number=12, tracks=tracks)
        tracklets, labels, _ = gathered(crops, features)
        assert rand_index(labels[tracklets.of_crop], who) > 0.8
    points = np.repeat(np.eye(3), 4, axis=0)
    assert silhouette(points, np.repeat([0, 1, 2], 4)) == 1
    assert silhouette(points, np.arange(12)) == 0
    assert silhouette(points, np.tile([0, 1, 2], 4)) < 0
    same = np.repeat(unit(np.random.default_rng(0).normal(size=(40, 64))).astype(np.float32), 4, axis=0)
    assert silhouette(same, np.repeat(np.arange(80), 2)) > -0.2, "one picture in two clusters is near to both"


def test_people_are_found_again_across_cameras():
    crops, features, who = people()
    tracklets, labels, measures = gathered(crops, features)
    assert len(tracklets) == 80
    assert rand_index(labels[tracklets.of_crop], who) > 0.9
    assert measures.halves > 0.8
    assert measures.separation > 0.95
    assert refusal(features, tracklets, labels, measures) is None


def test_tracks_are_joined_by_nearness_and_look_and_nobody_is_in_one_frame_twice(tmp_path):
    rng = np.random.default_rng(0)
    looks = unit(rng.normal(size=(40, 64)))
    names, features = [], []
    for person in range(40):
        for step in range(3):  # everybody beside the next one, in one camera and sequence
            names.append(f"{person:04d}_c1s1_{1000 * (person // 2) + 25 * step:06d}_{person % 2:02d}.jpg")
            features.append(looks[person] + 0.02 * rng.normal(size=64))
    for name in names:
        (tmp_path / name).touch()
    crops = read_crops([tmp_path])
    order = [names.index(crop.path.name) for crop in crops.items]
    tracklets = find_tracklets(crops, unit(np.array(features, np.float32))[order])
    assert len(tracklets) == 40
    assert tracklets.sizes.tolist() == [3] * 40
    assert len(tracklets.cannot) == 20
    known = sorted(crop[1:5] for crop in crops.items)
    for number, path in enumerate(sorted(tmp_path.iterdir())):
        path.rename(tmp_path / f"{number:05d}{path.name[4:]}")
    assert sorted(crop[1:5] for crop in read_crops([tmp_path]).items) == known, "whoever is in the name is not read"


def test_names_that_say_nothing_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        read_crops([tmp_path / "missing"])
    with pytest.raises(DataError, match="holds no crops"):
        read_crops([tmp_path])
    for name in ("dock_7_10.png", "dock_7_2.png", "back_door_3_1.png"):
        (tmp_path / name).touch()
    crops = read_crops([tmp_path])
    assert [(c.camera, c.track, c.path.name) for c in crops.items if c.track == 7] == [
        ("dock", 7, "dock_7_2.png"),
        ("dock", 7, "dock_7_10.png"),
    ]
    assert "back_door" in crops.cameras
    (tmp_path / "holiday.png").touch()
    with pytest.raises(
        DataError, match=r"holiday.png: its name does not say its camera and its track; expected <camera"
    ):
        read_crops([tmp_path])


def test_losses_pull_to_ones_own_and_push_from_others():
    vectors = torch.eye(4)
    memory, proxies = Memory(vectors.clone()), Memory(vectors.clone())
    cluster_of = torch.tensor([0, 0, 1, 2])  # the first cluster has proxies in two cameras
    near, far = torch.tensor([[1.0, 0, 0, 0]]), torch.tensor([[0.0, 0, 1, 0]])
    label = torch.tensor([0])
    assert cluster_loss(near, label, memory) < 1e-6 < cluster_loss(far, label, memory)
    both = torch.nn.functional.normalize(torch.tensor([[1.0, 1, 0, 0]]))
    assert proxy_loss(both, label, proxies, cluster_of) < proxy_loss(near, label, proxies, cluster_of)
    assert proxy_loss(near, label, proxies, cluster_of) < proxy_loss(far, label, proxies, cluster_of)
    many = torch.nn.functional.normalize(torch.randn(2 * HARD_PROXIES, 4, generator=torch.Generator().manual_seed(0)))
    assert torch.isfinite(proxy_loss(near, label, Memory(many), torch.arange(2 * HARD_PROXIES)))
    memory.move(far, label)
    assert memory.vectors[0, 2] > 0.9
    assert torch.allclose(memory.vectors.norm(dim=1), torch.ones(4))
    assert torch.equal(memory.vectors[1:], vectors[1:])


def test_measures_have_the_values_that_they_are_known_to_have():
    assert rand_index(np.array([0, 0, 1, 1]), np.array([5, 5, 2, 2])) == 1
    assert rand_index(np.array([0, 0, 1, 2]), np.array([0, 0, 1, 1])) == pytest.approx(0.5714, abs=1e-3)
    labels = np.random.default_rng(0).integers(5, size=(2, 4000))
    assert abs(rand_index(*labels)) < 0.01
    assert rand_index(np.zeros(9, int), np.zeros(9, int)) == rand_index(np.arange(9), np.arange(9)) == 0
    eye = np.eye(4)
    assert halves_found(eye, eye, np.array(["a"] * 4)) == 1
    assert halves_found(eye, eye[[1, 0, 2, 3]], np.array(["a"] * 4)) == 0.5
    assert halves_found(eye, eye[[1, 0, 2, 3]], np.array(["a", "b", "c", "d"])) == 1, "each alone in its camera"
    assert chance_of_smaller(np.array([1.0, 2]), np.array([3.0, 4])) == 1
    assert chance_of_smaller(np.array([1.0, 3]), np.array([2.0, 3])) == pytest.approx(0.625)
    assert chance_of_smaller(np.array([]), np.array([1.0])) == 0.5


def test_of_few_tracks_agreement_hardly_moves_with_which_half_is_the_first(monkeypatch):
    crops, features, _ = people(number=12, jitter=1.2, crops=2)
    tracklets, plain = find_tracklets(crops, features), without_cameras(features, crops.cameras)
    turns = np.random.default_rng(0).integers(2, size=(6, len(tracklets)))
    sites = [replace(tracklets, place=tracklets.place ^ turned[tracklets.of_crop]) for turned in turns]

    def spread():
        return np.std([agreement(plain, site, Linkage(4)) for site in sites])

    steady = spread()
    monkeypatch.setattr("training.adaptation.measures.TURNS", 1)
    assert steady < spread() / 2


@pytest.mark.parametrize(
    ("site", "said"),
    [
        (lambda: people(number=12, cameras=1), "all crops are of one camera"),
        (lambda: people(number=3, tracks=4), "people were seen in several tracks; 8 are needed"),
        (lambda: people(number=2, tracks=1), "there are 4 tracks of two crops or more"),
        (lambda: people(number=1, tracks=12, crops=4), "look like one person to the model"),
        (lambda: people(number=8, alike=1.0), "look like one person to the model"),
        (lambda: people(number=10, jitter=30.0, crops=6), "boxes are of no people"),
    ],
    ids=["one camera", "three people", "two people", "one person", "uniforms", "junk"],
)
def test_what_teaches_nothing_is_refused_and_why(site, said):
    crops, features, _ = site()
    reason = refusal(features, *gathered(crops, features))
    assert reason is not None
    assert said in reason


def test_a_site_says_what_its_distances_are_measured_in_and_not_what_they_mean():
    pytest.importorskip("onnx", reason="converters need onnx")
    from converters.adapted import calibrate_site

    crops, features, _ = people(number=16, crops=4)
    tracklets, labels, measures = gathered(crops, features)
    look = Look(features, labels, usable(labels, tracklets), measures)
    site, usual = calibrate_site(Adapted(tracklets, look, look, None, None, (measures,)), crops), SitePrior()
    assert (site.cameras.deviation == 1).all()
    assert (tuple(site.prior["neutral"]), tuple(site.prior["slope"])) == (usual.neutral, usual.slope)
    assert site.prior["stranger"][1] != usual.stranger[1]


def test_a_model_is_kept_if_no_measure_is_worse_and_all_together_are_better():
    before = Measures(0.8, 0.99, 0.5, 0.2, 0.9, 10, 0.9)
    assert why_not_keep(before, replace(before, agreement=0.6)) is None
    assert "no better" in why_not_keep(before, before)
    assert why_not_keep(before, replace(before, agreement=0.7, halves=0.75)) == "halves fell from 0.800 to 0.750"
    collapsed = replace(before, halves=1.0, agreement=1.0, separation=0.5)
    assert "separation fell" in why_not_keep(before, collapsed)


def events(*rows):
    return [json.loads(Event(*row).to_json()) for row in rows]


def test_what_a_human_said_of_people_becomes_links():
    links = links_of(
        events(
            (0, "identified", "dock", 1, "person-1", {}),
            (1, "identified", "lobby", 1, "person-2", {}),
            (2, "identified", "dock", 2, "person-3", {}),
            (3, "merged", None, None, "person-1", {"other": "person-2", "by_hand": True}),
            (4, "renamed", None, None, "ann", {"other": "person-1"}),
            (5, "renamed", None, None, "bob", {"other": "person-3"}),
            (6, "split", "dock", 2, "bob", {"new_track": 3}),
            (7, "identified", "dock", 3, "person-4", {}),
            (8, "merged", None, None, "ann", {"other": "person-4"}),
        )
    )
    assert links.must == [(("lobby", 1), ("dock", 1))], "the tracker's own merges are no human's word"
    assert links.cannot == [(("dock", 2), ("dock", 3)), (("lobby", 1), ("dock", 2))]
    assert links.doubtful == [(("dock", 2), 6)]


@pytest.fixture
def tracked(drawn_people, tmp_path):
    """The drawn people as a site knows them: a track a person and camera."""
    folder = tmp_path / "crops"
    folder.mkdir()
    for path in drawn_people.glob("*/*.png"):
        camera, number = path.stem.split("_")
        (folder / f"cam{camera}_{int(path.parent.name)}_{number}.png").write_bytes(path.read_bytes())
    return folder


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """The checkpoint of a small network that has learned nothing yet."""
    torch.manual_seed(0)
    config = RunConfig(ModelConfig(width=8, input_size=(64, 32)), TrainConfig())
    path = tmp_path_factory.mktemp("start") / "model.pt"
    save_checkpoint(Checkpoint(config, [], 0, AlignedReID(config.model).state_dict()), path)
    return path


@pytest.fixture
def easy(monkeypatch):
    """A guard that lets a few drawn people pass, whatever becomes of them."""
    for name, value in (
        ("FEWEST_PEOPLE", 2),
        ("ACROSS", 1),
        ("ALIKE", 1.0),
        ("HOLD_TOGETHER", 0),
        ("GAIN", -10.0),
        ("LOSS", 10.0),
    ):
        monkeypatch.setattr(f"training.adaptation.guard.{name}", value)


def quick(epochs=2):
    settings = Settings()
    train = replace(settings.train, epochs=epochs, identities_per_batch=4, images_per_identity=2, frozen=0)
    return replace(settings, train=train, crops=32)


def test_a_resumed_run_ends_with_the_same_weights(tracked, start, tmp_path, easy):
    crops, start = read_crops([tracked]), load_checkpoint(start)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    lines = []
    done = adapt(crops, start, whole, quick(), 0.5, tell=lines.append)
    assert done.reason is None
    assert len(done.history) == 3
    assert [line.split()[0] for line in lines] == ["before:", "epoch", "epoch"]

    class Stop(Exception):
        pass

    def stop(line):
        if line.startswith("epoch"):
            raise Stop

    with pytest.raises(Stop):
        adapt(crops, start, parts, quick(), 0.5, tell=stop)
    with pytest.raises(DataError, match="holds an adaptation already; go on with --resume"):
        adapt(crops, start, parts, quick(), 0.5)
    with pytest.raises(DataError, match="other crops or other settings"):
        adapt(crops, start, parts, quick(epochs=3), 0.5, resume=True)
    again = adapt(crops, start, parts, quick(), 0.5, resume=True)
    assert again.history == done.history
    weights = [load_checkpoint(folder / LAST).weights for folder in (whole, parts)]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())
    assert any(not torch.equal(tensor, start.weights[name]) for name, tensor in weights[0].items())
    assert (whole / BEST).exists()


def noise(rng):
    """A box on nobody."""
    return cv2.resize(rng.integers(0, 256, (8, 4, 3), np.uint8), (32, 64), interpolation=cv2.INTER_CUBIC)


def dressed_alike(crop):
    """Everybody in the same overall, up to the chin."""
    crop[10:, 5:27] = (60, 40, 160)
    return crop


def unhelpful(kind, folder, tracks=24):
    """`tracks` tracks of two crops of two cameras, except for what is wrong with this site."""
    rng = np.random.default_rng(0)
    people = {"three people": 3, "one person": 1}.get(kind, 12)
    for track in range(tracks):
        camera = 0 if kind == "one camera" else track % 2
        for number in range(2):
            view = track // 2 // people * 2 + number
            crop = draw_crop(7, track // 2 % people, camera, view, (64, 32), misalignment=0)
            crop = noise(rng) if kind == "junk" else dressed_alike(crop) if kind == "uniforms" else crop
            write_image(folder / f"cam{camera}_{track}_{number}.png", crop)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("one camera", "all crops are of one camera (cam0)"),
        ("three people", "it is one person or a few, or everybody wears the same"),
        ("one person", "it is one person or a few"),
        ("uniforms", "or everybody wears the same"),
        ("junk", "of all pairs of tracks look like one person to the model"),
    ],
)
def test_the_command_refuses_a_site_that_teaches_nothing_and_leaves_everything_as_it_was(kind, said, tmp_path):
    crops, output = tmp_path / "crops", tmp_path / "adapted.onnx"
    crops.mkdir()
    unhelpful(kind, crops)
    shipped, former = DEFAULT_MODEL.read_bytes(), kind in ("three people", "uniforms", "junk")
    if former:
        output.write_bytes(b"yesterday's")
    result = CliRunner().invoke(build_app(), ["adapt", str(crops), "-o", str(output), "--accept"])
    assert result.exit_code == 1, result.exception
    words = " ".join(result.stdout.split())
    assert words.startswith("not adapted, because ")
    assert said in words
    assert output.exists() == former
    assert not former or output.read_bytes() == b"yesterday's"
    assert DEFAULT_MODEL.read_bytes() == shipped
    assert "**Not adapted, because " in (tmp_path / "adapted" / "adapt.md").read_text()


def test_the_command_writes_a_model_with_its_own_calibration_when_it_is_accepted(tracked, start, tmp_path, easy):
    from sdk.engines import load_engine, read_metadata

    output = tmp_path / "adapted.onnx"
    line = ["adapt", str(tracked), "--model", str(start), "-o", str(output), "--epochs", "1"]
    line += ["--epoch-crops", "64"]
    result = CliRunner().invoke(build_app(), line)
    assert result.exit_code == 0, result.exception
    assert "then repeat the command with --accept" in " ".join(result.stdout.split())
    assert not output.exists()
    assert {path.name for path in (tmp_path / "adapted").iterdir()} >= {"adapt.md", "before.png", "after.png", BEST}
    assert (tmp_path / "adapted" / "after.png").stat().st_mode & 0o777 == 0o600
    result = CliRunner().invoke(build_app(), [*line, "--accept"])
    assert result.exit_code == 0, result.exception
    found = read_metadata(output)
    assert "crops without labels" in found.threshold["data"]
    assert 0 < found.threshold["value"] < 2
    assert set(found.cameras) == {"cam00", "cam01"}
    assert all(set(camera["deviation"]) == {1} for camera in found.cameras.values()), "as the clusters were found"
    assert found.evaluation["after"]["halves"] >= 0
    crop = np.zeros((1, *found.input_size, 3), np.uint8)
    assert np.isfinite(load_engine(output).run(crop)[0]).all()
    result = CliRunner().invoke(build_app(), [*line, "--discard"])
    assert isinstance(result.exception, DataError)
    assert "delete it yourself" in str(result.exception)
