"""The research datasets in small: their published layouts, with the traps that the real ones have.

Crops are of one colour. `angle` (degrees) is its place between blue and green, and `by_colour` reads it back: the
cosine distance of two crops grows with the difference of their angles, so every ranking can be told beforehand.
"""

import cv2
import h5py
import numpy as np
from scipy.io import savemat

from sdk.reidentifier import Features

MARKET = {
    "training identities": 2,
    "training images": 4,
    "query identities": 2,
    "queries": 2,
    "images to search": 6,
}
MARS = {
    "training identities": 2,
    "training tracklets": 3,
    "test identities": 4,
    "test tracklets": 6,
    "queries": 2,
}
CUHK03 = {"identities": 6, "training identities": 3, "test identities": 3, "queries": 4}
CUHK03_CLASSIC = {"identities": 6, "test sets": 2, "people in each": 2}
CUHK03_IMAGES = {"detected": 19, "labeled": 19}
VIPER = PRID450S = {"identities": 4, "images": 8}
GRID = {"identities": 4, "images to search for": 4, "images to search": 7}
CUHK01 = {"identities": 4, "images": 16}
ILIDS = {"identities": 4, "images": 11}
MSMT17 = {
    "training identities": 2,
    "training images": 4,
    "query identities": 2,
    "queries": 2,
    "images to search": 4,
}
CUHK_SYSU = {"training identities": 2, "queries": 2, "images": 7, "images of the test": 5}


def colour(angle):
    return 200 * np.cos(np.radians(angle)), 200 * np.sin(np.radians(angle)), 0


def crop(angle, size=(32, 16)):
    return np.full((*size, 3), colour(angle), np.uint8)


def write_crop(path, angle):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), crop(angle))


def by_colour(crops):
    """The mean colour at unit length, of the crop and of its two halves."""
    stripes = np.array([[half.mean((0, 1)) for half in np.array_split(c, 2)] for c in crops], np.float32)
    embedding = stripes.mean(1)
    return Features(*(x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (embedding, stripes)))


def write_market1501(root, drawn=True):
    """Query 0001 at 10° has, nearest first: junk, a distractor, two matches. Query 0003's match is its nearest."""
    train = {"0002_c1s1_000451_03": 5, "0002_c2s1_000551_01": 8, "0007_c1s1_000001_01": 50, "0007_c3s2_000002_01": 55}
    query = {"0001_c1s1_001051_00": 10, "0003_c2s1_000776_00": 60}
    gallery = {
        "-1_c3s1_000401_03": 11,
        "0000_c3s1_000401_01": 15,
        "0001_c1s1_001051_01": 10,  # of the query's camera
        "0001_c2s1_001051_01": 20,
        "0001_c4s1_001051_01": 40,
        "0003_c1s1_000776_01": 62,
    }
    for folder, images in (("bounding_box_train", train), ("query", query), ("bounding_box_test", gallery)):
        for name, angle in images.items():
            write_crop(root / folder / f"{name}.jpg", angle)
        (root / folder / "Thumbs.db").write_bytes(b"of Windows")
    (root / "query" / "0003_c2s1_000776_00.jpg").rename(root / "query" / "0003_c2s1_000776_00.jpg.jpg")
    if drawn:  # of 0001 in camera 1 two, their mean at 22°; one in another camera; none of 0003
        for name, angle in (("0001_c1s1_001051_00", 10), ("0001_c1s1_001076_00", 34), ("0001_c6s1_000001_00", 80)):
            write_crop(root / "gt_bbox" / f"{name}.jpg", angle)


def write_mars(root):
    """Query 0002 in camera 1 is a tracklet at 0° and 40°, so at 20°; its match is at 21°, a distractor at 30°."""
    parts = {
        "train": [("0001", 1, (5, 6)), ("0001", 2, (7,)), ("0003", 1, (50, 51, 52))],
        "test": [
            ("00-1", 1, (20,)),  # junk, at the very place of the query
            ("0000", 2, (30,)),
            ("0002", 1, (0, 40)),
            ("0002", 3, (21,)),
            ("0004", 1, (70,)),
            ("0004", 2, (10,)),  # its only match is at the far end
        ],
    }
    (root / "info").mkdir(parents=True)
    for part, tracklets in parts.items():
        names, table = [], []
        for number, (identity, camera, angles) in enumerate(tracklets, start=1):
            first = len(names) + 1
            for frame, angle in enumerate(angles, start=1):
                names.append(f"{identity}C{camera}T{number:04d}F{frame:03d}.jpg")
                write_crop(root / f"bbox_{part}" / identity / names[-1], angle)
            table.append([first, len(names), -1 if identity == "00-1" else int(identity), camera])
        (root / "info" / f"{part}_name.txt").write_text("\r\n".join(names) + "\r\n")
        savemat(root / "info" / f"tracks_{part}_info.mat", {f"track_{part}_info": np.array(table, np.int32)})
    savemat(root / "info" / "query_IDX.mat", {"query_IDX": np.array([[3, 5]], np.uint8)})


def write_cuhk03(root, folder="."):
    """Two pairs of cameras with three people each. Person p of pair c is at 30·c + 10·p degrees in all images but
    the last of person 3 in pair 1. The images are 24 px high and 12 wide, the upper half of each a little darker."""
    path = root / folder / "cuhk-03.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    images = {}
    for c in range(2):
        for p in range(3):
            numbers = (0, 5) if c else (0, 1, 5, 6)
            images |= {(c, p, n): 30 * c + 10 * p for n in numbers}
    images[0, 2, 7] = 0
    with h5py.File(path, "w") as file:
        kept = file.create_group("#refs#")

        def store(value, **options):
            return kept.create_dataset(f"r{len(kept)}", data=value, **options).ref

        def cells(references):
            return store(np.array(references, h5py.ref_dtype), dtype=h5py.ref_dtype)

        empty = store(np.zeros(2, np.uint64))
        for boxes in CUHK03_IMAGES:
            pairs = []
            for c in range(2):
                table = np.empty((10, 3), h5py.ref_dtype)
                for n, p in np.ndindex(10, 3):
                    table[n, p] = empty
                    if (c, p, n) in images:
                        picture = crop(images[c, p, n], (24, 12))
                        picture[:12] = picture[:12] * 0.9
                        table[n, p] = store(picture[..., ::-1].T)  # RGB, and MATLAB's order of axes
                pairs.append(cells(table))
            file.create_dataset(boxes, data=np.array([pairs], h5py.ref_dtype), dtype=h5py.ref_dtype)
        tests = [store(np.array(people, float).T) for people in ([[1, 1], [1, 3]], [[2, 1], [2, 2]])]
        file.create_dataset("testsets", data=np.array([tests], h5py.ref_dtype), dtype=h5py.ref_dtype)
    names = [f"{c + 1}_{p + 1:03d}_{1 if n < 5 else 2}_{n + 1:02d}.png" for c, p, n in sorted(images)]
    number = {name: i for i, name in enumerate(names, start=1)}
    query = ["1_001_1_01.png", "1_001_2_06.png", "1_003_1_01.png", "2_001_1_01.png"]
    train = [name for name in names if name[:5] in ("1_002", "2_002", "2_003")]
    gallery = [name for name in names if name not in query and name not in train]
    config = {f"{part}_idx": [[number[name]] for name in part_names] for part, part_names in
              (("train", train), ("query", query), ("gallery", gallery))}  # fmt: skip
    for boxes in CUHK03_IMAGES:
        savemat(
            root / f"cuhk03_new_protocol_config_{boxes}.mat",
            {
                "filelist": np.array([[name] for name in names], object),
                "labels": np.ones((len(names), 1), np.uint16),
                "camId": np.ones((len(names), 1), np.uint8),
                **{name: np.array(value, np.uint8) for name, value in config.items()},
            },
        )


def structs(*rows):
    """A MATLAB struct array, 1 × N."""
    array = np.empty((1, len(rows)), [(name, object) for name in rows[0]])
    for i, row in enumerate(rows):
        array[0, i] = tuple(row.values())
    return array


def place(imname, box, **more):
    box = np.zeros((0, 0)) if box is None else np.array([box])
    return {"imname": imname, "idlocate": box, "ishard": np.uint8([[0]]), **more}


def write_cuhk_sysu(root):
    """Query p3 (10°, scene s4) is searched for in s5, s6 and its own s4; query p4 (50°, s7) in s5 and s8."""
    scenes = {
        "s1.jpg": {(0, 0, 20, 40): 1},
        "s2.jpg": {(200, 10, 100, 150): 2, (0, 0, 20, 40): 3},  # 200 + 100 px are more than uint8 holds
        "s4.jpg": {(5, 5, 20, 40): 10, (60, 5, 20, 40): 12},
        "s5.jpg": {(5, 5, 20, 40): 14, (60, 5, 20, 40): 55},
        "s6.jpg": {(5, 5, 20, 40): 20, (60, 5, 20, 40): 80},
        "s7.jpg": {(5, 5, 20, 40): 50},
        "s8.jpg": {(5, 5, 20, 40): 52},
    }
    (root / "Image" / "SSM").mkdir(parents=True)
    images = []
    for name, people in scenes.items():
        picture = np.zeros((200, 320, 3), np.uint8)
        for (x, y, w, h), angle in people.items():
            picture[y : y + h, x : x + w] = colour(angle)
        cv2.imwrite(str(root / "Image" / "SSM" / name), picture, [cv2.IMWRITE_JPEG_QUALITY, 100])
        boxes = [np.array([box], np.uint16) for box in people]
        if name == "s5.jpg":
            boxes.append(np.array([[30, 30, 0, 10]], np.uint16))  # the annotation has boxes without area
        rows = structs(*({"idlocate": box, "ishard": np.uint8([[0]])} for box in boxes))
        images.append({"imname": name, "nAppear": len(boxes), "box": rows})
    tests = root / "annotation" / "test" / "train_test"
    tests.mkdir(parents=True)
    savemat(root / "annotation" / "Images.mat", {"Img": structs(*images)})
    pool = np.array([[name] for name in ("s4.jpg", "s5.jpg", "s6.jpg", "s7.jpg", "s8.jpg")], object)
    savemat(root / "annotation" / "pool.mat", {"pool": pool})
    seen = {
        "p1": [place("s1.jpg", np.uint8([0, 0, 20, 40])), place("s2.jpg", np.uint8([0, 0, 20, 40]))],
        "p2": [place("s2.jpg", np.uint8([200, 10, 100, 150]))],
    }
    train = np.empty((2, 1), object)
    for i, (name, found) in enumerate(seen.items()):
        train[i, 0] = structs({"idname": name, "nAppear": len(found), "scene": structs(*found)})
    savemat(tests / "Train.mat", {"Train": train})
    far = structs(place("s6.jpg", (5, 5, 20, 40)), place("s4.jpg", None), place("s5.jpg", None))
    near = structs(place("s8.jpg", (5, 5, 20, 40)), place("s5.jpg", None))
    searches = structs(
        {"Query": structs(place("s4.jpg", (5, 5, 20, 40), idname="p3")), "Gallery": far},
        {"Query": structs(place("s7.jpg", (5, 5, 20, 40), idname="p4")), "Gallery": near},
    )
    savemat(tests / "TestG100.mat", {"TestG100": searches})
    alone = structs(
        {
            "Query": structs(place("s4.jpg", (5, 5, 20, 40), idname="p3")),
            "Gallery": structs(place("s6.jpg", (5, 5, 20, 40))),
        },
        {"Query": structs(place("s7.jpg", (5, 5, 20, 40), idname="p4")), "Gallery": near},
    )
    savemat(tests / "TestG50.mat", {"TestG50": alone})


PAIRS = {0: (0, 1), 1: (20, 21), 2: (40, 41), 3: (60, 5)}
"""Person → angles in two cameras. Person 3 in the second is nearest to person 0."""


def write_viper(root):
    for person, angles in PAIRS.items():
        for camera, angle, view in zip("ab", angles, (0, 90), strict=True):
            write_crop(root / "VIPeR" / f"cam_{camera}" / f"{person:03d}_{view}.bmp", angle)


def write_prid450s(root):
    for person, angles in PAIRS.items():
        for camera, angle in zip("ab", angles, strict=True):
            write_crop(root / f"cam_{camera}" / f"img_{person + 1:03d}.png", angle)
    (root / "readme.txt").write_text("as in the archive")


def write_numbered_pairs(root):
    """The same, as copies of VIPeR and PRID 450S in one folder have it."""
    for person, angles in PAIRS.items():
        for camera, angle in enumerate(angles, start=1):
            write_crop(root / f"{person + 1:04d}{camera:03d}.png", angle)


def write_grid(root):
    """Three distractors; one of them is nearer to person 0002 than the match is."""
    for person, angle in ((1, 0), (2, 20), (3, 40), (4, 60)):
        write_crop(root / "underground_reid" / "probe" / f"{person:04d}_1_25008_169_19_94_222.jpeg", angle)
        write_crop(
            root / "underground_reid" / "gallery" / f"{person:04d}_{person + 1}_25023_116_134_128.jpeg", angle + 4
        )
    for number, angle in enumerate((21, 80, 85)):
        write_crop(root / "underground_reid" / "gallery" / f"0000_5_2500{number}_1_2_3_4.jpeg", angle)


def write_cuhk01(root):
    """Person p is at 20·p degrees in all four images, but person 4 in the last at 20."""
    for person in range(1, 5):
        for image in range(1, 5):
            write_crop(
                root / "campus" / f"{person:04d}{image:03d}.png", 20 if (person, image) == (4, 4) else 20 * person
            )


def write_ilids(root):
    """Of four people 2, 2, 3 and 4 images; person p at 20·p degrees."""
    for person, images in enumerate((2, 2, 3, 4), start=1):
        for image in range(1, images + 1):
            write_crop(root / "i-LIDS_Pedestrian" / "Persons" / f"{person:04d}{image:03d}.jpg", 20 * person + image)


def write_msmt17(root, folder="MSMT17_V1", parts=("train", "test")):
    """Query 0000 (10°) has its own camera's image first, then a stranger, then its match; query 0001 its match."""
    lists = {
        "list_train.txt": (0, {"0000_000_01_0303morning_0015_0": 5, "0000_001_14_0303noon_0015_0": 6,
                               "0001_000_02_0303morning_0015_0": 30}),
        "list_val.txt": (0, {"0001_001_03_0303morning_0016_0": 31}),
        "list_query.txt": (1, {"0000_000_01_0303morning_0015_0": 10, "0001_000_12_0303noon_0020_1": 60}),
        "list_gallery.txt": (1, {"0000_001_01_0303morning_0020_0": 10, "0000_002_15_0303noon_0001_0": 20,
                                 "0001_001_05_0303noon_0002_0": 62, "0002_000_05_0303noon_0003_0": 15}),
    }  # fmt: skip
    for name, (part, images) in lists.items():
        lines = []
        for image, angle in images.items():
            write_crop(root / folder / parts[part] / image[:4] / f"{image}.jpg", angle)
            lines.append(f"{image[:4]}/{image}.jpg {int(image[:4])}")
        (root / folder / name).write_text("\n".join(lines) + "\n")
