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
from training.data.msmt17 import load_msmt17
from training.data.single_shot import load_cuhk01, load_grid, load_ilids, load_prid450s, load_viper
from training.evaluation import evaluate_retrieval

market1501 = partial(load_market1501, published=miniatures.MARKET)
mars = partial(load_mars, published=miniatures.MARS)
cuhk03 = partial(load_cuhk03, published=miniatures.CUHK03, images=miniatures.CUHK03_IMAGES)
classic = partial(load_cuhk03_classic, published=miniatures.CUHK03_CLASSIC, images=miniatures.CUHK03_IMAGES)
cuhk_sysu = partial(load_cuhk_sysu, published=miniatures.CUHK_SYSU)
viper = partial(load_viper, published=miniatures.VIPER)
prid450s = partial(load_prid450s, published=miniatures.PRID450S)
grid = partial(load_grid, published=miniatures.GRID)
cuhk01 = partial(load_cuhk01, published=miniatures.CUHK01)
ilids = partial(load_ilids, published=miniatures.ILIDS)
msmt17 = partial(load_msmt17, published=miniatures.MSMT17)

SMALL = {
    "market1501": (miniatures.write_market1501, market1501),
    "mars": (miniatures.write_mars, mars),
    "cuhk03": (miniatures.write_cuhk03, cuhk03),
    "cuhk03-classic": (miniatures.write_cuhk03, classic),
    "cuhk-sysu": (miniatures.write_cuhk_sysu, cuhk_sysu),
    "viper": (miniatures.write_viper, viper),
    "prid450s": (miniatures.write_prid450s, prid450s),
    "grid": (miniatures.write_grid, grid),
    "cuhk01": (miniatures.write_cuhk01, cuhk01),
    "ilids": (miniatures.write_ilids, ilids),
    "msmt17": (miniatures.write_msmt17, msmt17),
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
    assert result.mean_ap == pytest.approx(((1 / 2 + 2 / 3) / 2 + 1) / 2), "the standard one"
    first = ((1 / 2 + 0) / 2 + (2 / 3 + 1 / 2) / 2) / 2  # the area under the curve by trapezoids
    assert result.mean_ap_trapezoids == pytest.approx((first + 1) / 2)
    assert result.mean_inp == pytest.approx((2 / 3 + 1) / 2)


def test_market1501_multi_query_averages_the_hand_drawn_boxes(folder):
    """Query 0001 is at 22° then: match, distractor, match. Of 0003 there is no further box: it stays as it is."""
    result = evaluate(market1501(folder).test, multi_query=True)
    assert result.rank(1) == 1.0
    assert result.mean_ap == pytest.approx(((1 + 2 / 3) / 2 + 1) / 2)
    assert result.mean_ap_trapezoids == pytest.approx(((1 + (2 / 3 + 1 / 2) / 2) / 2 + 1) / 2)


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


def test_other_people_in_market1501s_naming_are_taken_with_their_own_counts(tmp_path):
    """Cameras above 9, endings in upper case, numbers of five digits, another person 0000 to train on."""
    names = {
        "bounding_box_train/0000_c1s1_000451_03.JPG": 5,
        "bounding_box_train/12345_c12s2_000451_03.jpg": 30,
        "bounding_box_train/-1_c12s2_000451_03.jpg": 31,
        "query/0007_c12s1_000001_00.JPG": 50,
        "bounding_box_test/0007_c1s1_000001_00.bmp": 52,
        "bounding_box_test/0007_c12s1_000002_00.webp": 50,
        "bounding_box_test/0008_c2_f0046985.png": 58,
        "bounding_box_test/0000_c2s1_000001_00.jpg": 70,
    }
    for name, angle in names.items():
        write_crop(tmp_path / "all" / name.lower(), angle)
        (tmp_path / "all" / name.lower()).rename(tmp_path / "all" / name)
    with pytest.raises(DataError, match=r"1 queries instead of 3368.*--any-counts"):
        open_benchmark("market1501", str(tmp_path / "all"))
    benchmark = open_benchmark("market1501", str(tmp_path / "all"), any_counts=True)
    assert benchmark.train.identities == ("0000", "12345")
    assert benchmark.train.cameras.tolist() == ["c1", "c12"]
    assert evaluate(benchmark.test).rank(1) == 1.0, "the image of its own camera is left out, which is c12 and not c1"
    for nobody in ("0000", "-1"):
        write_crop(tmp_path / "all" / "query" / f"{nobody}_c2s1_000001_00.jpg", 0)
        with pytest.raises(DataError, match=rf"query/{nobody}_c2s1.*is nobody"):
            open_benchmark("market1501", str(tmp_path / "all"), any_counts=True)
        (tmp_path / "all" / "query" / f"{nobody}_c2s1_000001_00.jpg").unlink()


# Random halves


def expected_of_pairs(test):
    """rank-1 of each split: person 3 of `miniatures.PAIRS` is missed unless it is tested beside person 0."""
    names = sorted(set(test.entries.identities))
    first, last = names[0], names[3]
    tested = [set(test.entries.identities[query]) for query, _ in test.rounds]
    return [0.5 if last in people and first not in people else 1.0 for people in tested]


@pytest.mark.parametrize("folder", ["viper", "prid450s"], indirect=True)
def test_random_halves_give_the_mean_and_the_deviation_of_ten_splits(folder):
    load = SMALL[folder.name][1]
    benchmark = load(folder)
    assert len(benchmark.train) == 0, "in ten splits everybody is tested"
    test = benchmark.test
    assert [(len(query), len(gallery)) for query, gallery in test.rounds] == [(2, 2)] * 10
    assert {tuple(test.entries.cameras[query]) for query, _ in test.rounds} == {("a", "a")}
    expected = expected_of_pairs(test)
    assert 0.5 in expected
    assert 1.0 in expected
    result = evaluate(test)
    assert result.rank(1) == pytest.approx(np.mean(expected))
    assert result.deviation["rank1"] == pytest.approx(np.std(expected, ddof=1))
    assert result.mean_ap == pytest.approx(np.mean([(1 + one) / 2 if one < 1 else 1 for one in expected]))
    figures = result.to_dict()
    assert (figures["queries"], figures["splits"]) == (20, 10)
    assert set(figures["deviation"]) == {"rank1", "rank5", "rank10", "mAP", "mINP"}
    assert "mean ± deviation of 10 splits, seed 0" in test.protocol
    again, other = load(folder).test, load(folder, seed=1).test
    assert all((a[0] == b[0]).all() for a, b in zip(test.rounds, again.rounds, strict=True))
    assert not all((a[0] == b[0]).all() for a, b in zip(test.rounds, other.rounds, strict=True))


@pytest.mark.parametrize("folder", ["viper"], indirect=True)
def test_one_split_trains_on_the_half_that_it_does_not_test(folder):
    everything = viper(folder).test
    for number in range(10):
        benchmark = viper(folder, split=str(number))
        tested = set(benchmark.test.entries.identities[benchmark.test.rounds[0][0]])
        assert tested == set(everything.entries.identities[everything.rounds[number][0]])
        assert set(benchmark.train.identities) == {"000", "001", "002", "003"} - tested
        assert len(benchmark.train) == 4
    result = evaluate(viper(folder, split="3").test)
    assert (result.splits, result.deviation, result.num_queries) == (1, {}, 2)
    assert len(viper(folder, split="all").test.rounds) == 10
    with pytest.raises(DataError, match="split '10': viper has the splits 0 to 9, or all"):
        viper(folder, split="10")


@pytest.mark.parametrize("load", [viper, prid450s])
def test_pairs_may_lie_in_one_folder(tmp_path, load):
    miniatures.write_numbered_pairs(tmp_path)
    test = load(tmp_path).test
    assert evaluate(test).rank(1) == pytest.approx(np.mean(expected_of_pairs(test)))


@pytest.mark.parametrize("folder", ["viper"], indirect=True)
def test_a_person_in_one_camera_only_is_named(folder):
    (folder / "VIPeR" / "cam_b" / "002_90.bmp").unlink()
    with pytest.raises(DataError, match=r"cam_a/002_0\.bmp: person 002 has no image in the other camera"):
        open_benchmark("viper", str(folder), any_counts=True)
    write_crop(folder / "VIPeR" / "cam_b" / "someone.bmp", 0)
    with pytest.raises(DataError, match=r"cam_b/someone\.bmp: not a name of this dataset"):
        viper(folder)


@pytest.mark.parametrize("folder", ["grid"], indirect=True)
def test_grid_has_its_distractors_in_every_gallery(folder):
    """Person 0002's match comes behind a distractor, all others' first."""
    test = grid(folder).test
    assert {(len(query), len(gallery)) for query, gallery in test.rounds} == {(2, 5)}
    missed = [("0002" in test.entries.identities[query]) / 2 for query, _ in test.rounds]
    assert 0 < sum(missed) < 5
    assert evaluate(test).rank(1) == pytest.approx(1 - np.mean(missed))
    assert "3 images of other people" in test.protocol
    assert "nobody" not in grid(folder, split="0").train.identities


@pytest.mark.parametrize("folder", ["cuhk01"], indirect=True)
def test_cuhk01_is_tested_single_shot(folder):
    """One image of each camera is drawn: person 0004's in the second is like person 0001's in some draws."""
    benchmark = cuhk01(folder, split="1")
    assert benchmark.train.cameras.tolist() == ["a", "a", "b", "b"] * 2
    test = cuhk01(folder).test
    assert {(len(query), len(gallery)) for query, gallery in test.rounds} == {(2, 2)}
    drawn = {test.crops.samples[row].path.name[4:7] for pair in test.rounds for rows in pair for row in rows}
    assert drawn == {"001", "002", "003", "004"}
    assert 0.5 < evaluate(test).rank(1) < 1


@pytest.mark.parametrize("folder", ["ilids"], indirect=True)
def test_ilids_searches_for_all_images_but_the_one_that_is_searched(folder):
    test = ilids(folder).test
    assert not test.named_cameras
    images = {"0001": 2, "0002": 2, "0003": 3, "0004": 4}
    for query, gallery in test.rounds:
        people = test.entries.identities[gallery]
        assert len(set(people)) == len(people) == 2
        assert len(query) == sum(images[person] - 1 for person in people)
        assert not set(query) & set(gallery)
    assert evaluate(test).rank(1) == 1.0


# MSMT17


@pytest.mark.parametrize(
    ("name", "parts"), [("MSMT17_V1", ("train", "test")), ("MSMT17_V2", ("mask_train_v2", "mask_test_v2")), (".", None)]
)
def test_msmt17_is_read_by_its_lists(tmp_path, name, parts):
    miniatures.write_msmt17(tmp_path, name, parts or ("train", "test"))
    benchmark = msmt17(tmp_path)
    assert benchmark.train.identities == ("0000", "0001")
    assert benchmark.train.cameras.tolist() == ["c1", "c14", "c2", "c3"], "those of the list to validate too"
    result = evaluate(benchmark.test)
    assert result.num_queries == 2
    assert [result.rank(k) for k in (1, 2)] == [0.5, 1.0], "the image of the query's own camera is left out"
    assert result.mean_ap == pytest.approx((1 / 2 + 1) / 2)
    assert result.mean_ap_trapezoids is None
    (tmp_path / name / "list_query.txt").write_text("0000/0000_000_01_0303morning_0015_0.jpg\n")
    with pytest.raises(DataError, match=r"list_query\.txt: line 1 is not of the form"):
        msmt17(tmp_path)


# MARS


@pytest.mark.parametrize("folder", ["mars"], indirect=True)
def test_mars_ranks_tracklets_and_keeps_the_queries_in_the_gallery(folder):
    """Query 0002 (20°): its match. Query 0004 (70°): the distractor, both tracklets of 0002, its match."""
    benchmark = mars(folder)
    assert benchmark.train.identities == ("0001", "0003")
    assert len(benchmark.train) == 6
    result = evaluate(benchmark.test)
    assert [result.rank(k) for k in (1, 3, 4)] == [0.5, 0.5, 1.0]
    assert result.mean_ap == pytest.approx((1 + 1 / 4) / 2)
    assert result.mean_ap_trapezoids == pytest.approx((1 + (1 / 4 + 0) / 2) / 2)
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
    assert result.mean_ap == pytest.approx((1 + 1 + (1 + 1 + 3 / 6) / 3 + 1) / 4)
    last = (3 / 6 + 2 / 5) / 2
    assert result.mean_ap_trapezoids == pytest.approx((1 + 1 + (1 + 1 + last) / 3 + 1) / 4)


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
    assert result.mean_ap_trapezoids is None
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
    ("viper", "VIPeR/cam_b"),
    ("grid", "underground_reid/gallery"),
    ("msmt17", "MSMT17_V1/list_val.txt"),
    ("msmt17", "MSMT17_V1/test/0002/0002_000_05_0303noon_0003_0.jpg"),
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
    with pytest.raises(DataError, match="--split-seed means nothing to msmt17"):
        open_benchmark("msmt17", str(folder), seed=1)


@pytest.mark.parametrize("folder", SMALL, indirect=True)
def test_any_counts_are_fine_where_that_is_said(folder):
    assert open_benchmark(folder.name, str(folder), any_counts=True).name == folder.name.removesuffix("-classic")


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
