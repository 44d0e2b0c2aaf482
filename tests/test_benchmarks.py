"""The research datasets' layouts on miniatures: what is read, what is refused, and their protocols' figures."""

from functools import partial

import cv2
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from sdk.errors import DataError
from sdk.measures import cosine
from sdk.simulation.population import Population
from tests import miniatures
from tests.miniatures import by_colour, crop, write_crop
from training.config import ModelConfig, RunConfig, TrainConfig
from training.data import LAYOUTS, PeopleDataset, SimulatedPeople, open_benchmark, parse_layout, union
from training.data.cuhk03 import load_cuhk03, load_cuhk03_classic
from training.data.cuhk_sysu import load_cuhk_sysu
from training.data.loader import training_loader
from training.data.market1501 import load_market1501
from training.data.mars import load_mars
from training.evaluation import evaluate_retrieval

market1501 = partial(load_market1501, published=miniatures.MARKET)
mars = partial(load_mars, published=miniatures.MARS)
cuhk03 = partial(load_cuhk03, published=miniatures.CUHK03, images=miniatures.CUHK03_IMAGES)
classic = partial(load_cuhk03_classic, published=miniatures.CUHK03_CLASSIC, images=miniatures.CUHK03_IMAGES)
cuhk_sysu = partial(load_cuhk_sysu, published=miniatures.CUHK_SYSU)

SMALL = {
    "market1501": (miniatures.write_market1501, market1501),
    "mars": (miniatures.write_mars, mars),
    "cuhk03": (miniatures.write_cuhk03, cuhk03),
    "cuhk03-classic": (miniatures.write_cuhk03, classic),
    "cuhk-sysu": (miniatures.write_cuhk_sysu, cuhk_sysu),
}


def evaluate(test, **options):
    return evaluate_retrieval(by_colour, test, {"global": cosine}, **options)["global"]


@pytest.fixture
def folder(tmp_path, request):
    """The miniature whose name the test is parametrised with, else Market-1501's."""
    name = getattr(request, "param", "market1501")
    SMALL[name][0](tmp_path / name)
    return tmp_path / name


# Market-1501


def test_market1501_ignores_junk_and_counts_distractors_as_wrong(folder):
    """Query 0001: distractor, match, match. Query 0003: match. Junk, and 0001 of the same camera, are not ranked."""
    benchmark = market1501(folder)
    assert benchmark.train.identities == ("0002", "0007")
    assert benchmark.train.cameras.tolist() == ["c1", "c2", "c1", "c3"]
    result = evaluate(benchmark.test)
    assert result.num_queries == 2
    assert result.rank(1) == 0.5
    assert result.rank(2) == 1.0
    first = ((1 / 2 + 0) / 2 + (2 / 3 + 1 / 2) / 2) / 2  # the area under the curve by trapezoids
    assert result.mean_ap == pytest.approx((first + 1) / 2)
    assert result.mean_inp == pytest.approx((2 / 3 + 1) / 2)


def test_market1501_multi_query_averages_the_hand_drawn_boxes(folder):
    """Query 0001 is at 22° then: match, distractor, match. Of 0003 there is no further box: it stays as it is."""
    result = evaluate(market1501(folder).test, multi_query=True)
    assert result.rank(1) == 1.0
    assert result.mean_ap == pytest.approx(((1 + (2 / 3 + 1 / 2) / 2) / 2 + 1) / 2)


def test_without_hand_drawn_boxes_there_is_no_multi_query(tmp_path):
    miniatures.write_market1501(tmp_path, drawn=False)
    test = market1501(tmp_path).test
    assert evaluate(test).num_queries == 2
    with pytest.raises(DataError, match="gt_bbox"):
        evaluate(test, multi_query=True)


def test_a_name_that_is_not_of_market1501_is_refused(folder):
    write_crop(folder / "query" / "ann.jpg", 0)
    with pytest.raises(DataError, match=r"query/ann\.jpg.*0002_c1s1"):
        market1501(folder)


# MARS


@pytest.mark.parametrize("folder", ["mars"], indirect=True)
def test_mars_ranks_tracklets_and_keeps_the_queries_in_the_gallery(folder):
    """Query 0002 (20°): its match. Query 0004 (70°): the distractor, both tracklets of 0002, its match."""
    benchmark = mars(folder)
    assert benchmark.train.identities == ("0001", "0003")
    assert len(benchmark.train) == 6
    result = evaluate(benchmark.test)
    assert [result.rank(k) for k in (1, 3, 4)] == [0.5, 0.5, 1.0]
    assert result.mean_ap == pytest.approx((1 + (1 / 4 + 0) / 2) / 2)
    assert result.mean_inp == pytest.approx((1 + 1 / 4) / 2)


REST = [[5, 5, 2, 3], [6, 6, 4, 1], [7, 7, 4, 2]]


@pytest.mark.parametrize("folder", ["mars"], indirect=True)
@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("tracks_test_info", [[1, 1, -1, 1], [2, 2, 0, 2], [3, 5, 2, 1], *REST], "0002C3"),
        ("tracks_train_info", [[1, 2, 1, 1], [3, 3, 1, 2], [4, 60, 3, 1]], "train_name.txt: has 6 names"),
        ("query_IDX", [[2, 5]], "nobody's"),
    ],
)
def test_mars_lists_that_contradict_each_other_are_refused(folder, name, table, message):
    variable = name.replace("tracks", "track")
    savemat(folder / "info" / f"{name}.mat", {variable: np.array(table, np.int32)})
    with pytest.raises(DataError, match=message):
        mars(folder)


# CUHK03


@pytest.mark.parametrize("release", [".", "cuhk03_release"])
@pytest.mark.parametrize("boxes", ["detected", "labeled"])
def test_cuhk03_is_read_out_of_its_matlab_file(tmp_path, boxes, release):
    miniatures.write_cuhk03(tmp_path, release)
    train = cuhk03(tmp_path, boxes=boxes).train
    assert train.identities == ("1_002", "2_002", "2_003")
    assert train.cameras.tolist() == ["1_1", "1_1", "1_2", "1_2", "2_1", "2_2", "2_1", "2_2"]
    image = train.read(0)
    assert image.shape == (24, 12, 3)
    expected = crop(10, (24, 12))
    np.testing.assert_array_equal(image[12:], expected[12:])
    assert (image[:12, :, :2] < expected[:12, :, :2]).all(), "the right way up, and BGR"


@pytest.mark.parametrize("folder", ["cuhk03"], indirect=True)
def test_cuhk03_new_protocol(folder):
    """Queries are in no gallery, and a query's own camera of its pair is left out."""
    result = evaluate(cuhk03(folder).test)
    assert result.num_queries == 4
    assert result.rank(1) == 1.0
    # 1_003 at 20° finds itself twice at 20°, 2_001 at 30°, 1_001 twice at 0°, and itself at 0°: rank 6.
    assert result.mean_inp == pytest.approx((1 + 1 + 3 / 6 + 1) / 4)
    last = (3 / 6 + 2 / 5) / 2
    assert result.mean_ap == pytest.approx((1 + 1 + (1 + 1 + last) / 3 + 1) / 4)


@pytest.mark.parametrize("folder", ["cuhk03"], indirect=True)
def test_cuhk03_classic_draws_one_image_of_each_person(folder):
    """Of person 1_003 one of three images in the second camera is like person 1_001's: a third of the draws miss it."""
    benchmark = classic(folder, draws=200)
    assert benchmark.train.identities == ("1_002", "2_001", "2_002", "2_003")
    assert {len(gallery) for _, gallery in benchmark.test.rounds} == {2}
    result = evaluate(benchmark.test)
    assert result.num_queries == 4 * 200
    assert result.rank(1) == pytest.approx(1 - 1 / 3 / 2, abs=0.05)
    assert result.rank(2) == 1.0
    again = evaluate(classic(folder, draws=200).test)
    assert again.to_dict() == result.to_dict(), "the draws come from the seed"
    assert evaluate(classic(folder, split="1").test).rank(1) == 1.0
    every = classic(folder, split="all", draws=3)
    assert every.train.identities == ("1_002", "2_003"), "who is in no test set"
    assert len(every.test.rounds) == 6
    with pytest.raises(DataError, match=r"split '2'.*0 to 1"):
        classic(folder, split="2")


@pytest.mark.parametrize("folder", ["cuhk03"], indirect=True)
def test_cuhk03_that_is_cut_short_or_contradicts_its_protocol_is_refused(folder):
    config = folder / "cuhk03_new_protocol_config_detected.mat"
    content = {name: value for name, value in loadmat(config).items() if not name.startswith("__")}
    content["filelist"][0, 0] = "2_003_1_05.png"
    savemat(config, content)
    with pytest.raises(DataError, match=r"number=4.*is empty"):
        cuhk03(folder)
    train = classic(folder).train
    (folder / "cuhk-03.mat").write_bytes((folder / "cuhk-03.mat").read_bytes()[:3000])
    with pytest.raises(DataError, match=r"cuhk-03\.mat"):
        classic(folder)
    with pytest.raises(DataError, match=r"cuhk-03\.mat: detected\{1\}\{2, 1\} cannot be read"):
        train.read(0)


# CUHK-SYSU


@pytest.mark.parametrize("folder", ["cuhk-sysu"], indirect=True)
def test_cuhk_sysu_gives_each_query_its_own_gallery(folder):
    """In 100 images: p3 finds a stranger before its match, and nobody of its own image; p4 its match first."""
    benchmark = cuhk_sysu(folder)
    assert benchmark.train.identities == ("p1", "p2")
    result = evaluate(benchmark.test)
    assert result.num_queries == 2
    assert result.rank(1) == 0.5
    assert result.mean_ap == pytest.approx((1 / 2 + 1) / 2)
    assert evaluate(cuhk_sysu(folder, gallery_size=50).test).rank(1) == 1.0
    with pytest.raises(DataError, match="50, 100, 500"):
        cuhk_sysu(folder, gallery_size=60)


@pytest.mark.parametrize("folder", ["cuhk-sysu"], indirect=True)
def test_cuhk_sysu_cuts_people_out_of_scenes(folder):
    """The far corner of p2's box is at 300 px, which the annotation's uint8 does not hold."""
    train = cuhk_sysu(folder).train
    person = [sample.identity for sample in train.samples].index("p2")
    assert train.read(person).shape == (150, 100, 3)
    np.testing.assert_allclose(train.read(person).mean((0, 1)), crop(2)[0, 0], atol=3)


# What all have in common


MISSING = [
    ("market1501", "bounding_box_test"),
    ("market1501", "query"),
    ("mars", "info/query_IDX.mat"),
    ("mars", "info/test_name.txt"),
    ("cuhk03", "cuhk-03.mat"),
    ("cuhk03", "cuhk03_new_protocol_config_detected.mat"),
    ("cuhk-sysu", "annotation/test/train_test/TestG100.mat"),
    ("cuhk-sysu", "annotation/pool.mat"),
    ("cuhk-sysu", "Image/SSM/s6.jpg"),
    ("mars", "bbox_test/0002/0002C3T0004F001.jpg"),
]


@pytest.mark.parametrize(("folder", "name"), MISSING, indirect=["folder"])
def test_what_is_missing_is_named(folder, name):
    load = SMALL[folder.name][1]
    load(folder)
    (folder / name).rename(folder.parent / "elsewhere")
    with pytest.raises(DataError, match=f"{name}: missing"):
        load(folder)


@pytest.mark.parametrize("name", ["mars", "cuhk03", "cuhk-sysu"])
def test_a_matlab_file_that_is_damaged_or_another_is_named(tmp_path, name):
    write, load = SMALL[name]
    write(tmp_path)
    path = {
        "mars": tmp_path / "info" / "tracks_test_info.mat",
        "cuhk03": tmp_path / "cuhk03_new_protocol_config_detected.mat",
        "cuhk-sysu": tmp_path / "annotation" / "Images.mat",
    }[name]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=path.name):
        load(tmp_path)
    savemat(path, {"something": 1})
    with pytest.raises(DataError, match=f"{path.name}: has no variable"):
        load(tmp_path)


@pytest.mark.parametrize("folder", SMALL, indirect=True)
def test_counts_other_than_the_published_are_refused(folder):
    name = folder.name
    with pytest.raises(DataError, match=r"not the dataset as published: .* instead of"):
        LAYOUTS[name](folder)
    load = SMALL[name][1]
    for count in load.keywords["published"]:
        wrong = {**load.keywords["published"], count: 77}
        with pytest.raises(DataError, match=rf"\d+ {count} instead of 77"):
            load(folder, published=wrong)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("market1501", "bounding_box_test/0001_c4s1_001051_01.jpg"),
        ("mars", "bbox_test/0004/0004C2T0006F001.jpg"),
        ("cuhk-sysu", "Image/SSM/s5.jpg"),
    ],
    indirect=["folder"],
)
def test_an_unreadable_image_is_named_and_never_passed_over(folder, name):
    (folder / name).write_bytes(b"cut short")
    test = SMALL[folder.name][1](folder).test
    with pytest.raises(DataError, match=f"{name}: not a readable image"):
        evaluate(test)


def test_every_layout_is_in_the_table_and_takes_its_own_options_alone(folder):
    assert set(SMALL) <= set(LAYOUTS)
    assert parse_layout("mars:/data/a:b") == ("mars", "/data/a:b")
    assert parse_layout("people") is parse_layout("c:/people") is parse_layout("simulated") is None
    with pytest.raises(DataError, match="--gallery-size means nothing to market1501"):
        open_benchmark("market1501", str(folder), gallery_size=50)
    with pytest.raises(DataError, match="--split means nothing to mars"):
        open_benchmark("mars", str(folder), split="0")


# Unions


def test_a_union_keeps_the_people_of_its_datasets_apart(tmp_path, drawn_people):
    """Market-1501's and MARS's 0001 are two people; folders and drawn people join as well."""
    for name in ("market1501", "mars", "cuhk03", "cuhk-sysu"):
        SMALL[name][0](tmp_path / name)
    parts = [(name, SMALL[name][1](tmp_path / name).train) for name in ("market1501", "mars", "cuhk03", "cuhk-sysu")]
    parts.append(("people", PeopleDataset.from_folder(drawn_people)))
    parts.append(("simulated", SimulatedPeople.of(Population(3, cameras=2, site_cameras=3, views=1, size=(64, 32)))))
    people = union(parts)
    assert len(people) == sum(len(part) for _, part in parts)
    assert len(people.identities) == sum(len(part.identities) for _, part in parts)
    assert {"market1501/0002", "mars/0001", "cuhk03/1_002", "cuhk-sysu/p1"} < set(people.identities)
    assert {"market1501/c1", "mars/C1"} < set(people.cameras)
    start = 0
    for _, part in parts:
        np.testing.assert_array_equal(people.read(start, epoch=1), part.read(0, epoch=1))
        start += len(part)
    training, held_out = people.hold_out(5, seed=0)
    assert set(training.identities).isdisjoint(held_out.identities)
    assert len(held_out.read(len(held_out) - 1)) > 0
    with pytest.raises(DataError, match="both named 'mars'"):
        union([parts[1], parts[1]])


def test_loaders_workers_read_every_kind_of_dataset(tmp_path):
    """What is open in one process must not be needed in another: batches are the same with workers and without."""
    for name in ("mars", "cuhk03", "cuhk-sysu"):
        SMALL[name][0](tmp_path / name)
    people = union([(name, SMALL[name][1](tmp_path / name).train) for name in ("mars", "cuhk03", "cuhk-sysu")])
    config = RunConfig(ModelConfig(input_size=(64, 32)), TrainConfig(identities_per_batch=4, images_per_identity=2))
    people.read(8)
    batches = [list(training_loader(people, config, workers)[0]) for workers in (0, 2)]
    for (alone, labels), (helped, labels_again) in zip(*batches, strict=True):
        assert alone.equal(helped)
        assert labels.equal(labels_again)


def test_an_image_of_a_scene_is_not_changed_by_who_gets_it(tmp_path):
    miniatures.write_cuhk_sysu(tmp_path)
    train = cuhk_sysu(tmp_path).train
    first = train.read(0)
    cv2.rectangle(first, (0, 0), (5, 5), (255, 255, 255), -1)
    assert train.read(0).max() < 250
