"""Boxes and names in pictures: every label is within the picture, in any script, in the one colour of its person."""

import itertools
import json
import re

import cv2
import numpy as np
import pytest
import supervision as sv

from sdk.colours import INK, PALETTE, UNKNOWN, as_bgr, colour_number, colour_of
from sdk.drawing import draw_people, place_label
from sdk.drawing.lettering import draw_word, readable
from sdk.report.build import render
from sdk.report.visits import Record, Visit
from sdk.serve.pictures import draw
from sdk.video.annotate import AnnotatedVideo

LONG = "Maximiliane-Alexandra von und zu Hohenlohe-Waldenburg-Schillingsfürst"


def boxes_at_all_edges(height, width):
    """Tall, wide and small boxes in the corners, across the edges, and over all of a picture."""
    edges = [-0.2, 0.0, 0.02, 0.5, 0.9, 1.0]
    for left, top, across, along in itertools.product(edges, edges, (0.08, 1.1), (0.15, 1.1)):
        yield left * width, top * height, (left + across) * width, (top + along) * height


@pytest.mark.parametrize("size", [(480, 854), (720, 576), (2160, 3840), (48, 64), (16, 16)])
def test_every_label_lies_within_the_picture(size):
    height, width = size
    for box, name in itertools.product(boxes_at_all_edges(height, width), ("person-12", "?", LONG)):
        label = place_label(name, tuple(round(v) for v in box), height, width)
        if label is None:
            assert min(size) < 48, "only where there is no room for a letter"
            continue
        assert 0 <= label.left < label.left + label.width <= width
        assert 0 <= label.top < label.top + label.height <= height
        assert label.ink.shape[0] <= label.height
        assert label.ink.shape[1] <= label.width


@pytest.mark.parametrize("name", ["person-3", LONG])
def test_all_of_a_label_is_drawn_wherever_its_box_is(name):
    """Its letters' pixels in the picture are as many as in the label that is drawn in the middle."""
    ink = as_bgr(INK)

    def letters(box):
        scene = draw_people(np.full((240, 320, 3), 90, np.uint8), [(box, name)])
        return int((scene == ink).all(axis=2).sum())

    wanted = letters((100, 80, 160, 200))
    assert wanted > 20
    assert {letters(box) for box in boxes_at_all_edges(240, 320)} == {wanted}


def test_a_label_stands_above_its_box_else_below_else_inside():
    def top(y0, y1):
        return place_label("ann", (50, y0, 90, y1), 240, 320).top

    height = place_label("ann", (50, 100, 90, 200), 240, 320).height
    assert top(100, 200) == 100 - height
    assert top(5, 200) == 200
    assert top(5, 235) == 5
    assert top(-30, 260) == 0


def test_what_does_not_fit_is_cut_short_and_says_so():
    narrow, wide = (place_label(LONG, (0, 50, 40, 120), 200, width) for width in (120, 900))
    whole, cut = draw_word(LONG, 13), draw_word("Maximilian…", 13)
    assert wide.ink is whole
    assert cut.shape[1] < narrow.ink.shape[1] <= narrow.width <= 120


def test_names_in_other_scripts_are_drawn_or_told_by_number():
    """DejaVu is in every installation; of Chinese it has nothing, and the machine may have a font for it or not."""
    for name in ("Zoë Łuczak", "Анна", "Ελένη", "ann"):
        assert readable(name) == name
        assert draw_word(name, 20).any()
    assert len({draw_word(name, 20).tobytes() for name in ("Анна", "Инна", "Жанна", "????")}) == 4
    chinese = readable("张伟")
    assert chinese in ("张伟", "U+5F20U+4F1F")
    assert readable("a\nb\tc\u202e\x07\ud800") == "a b cU+0007U+D800"


def test_the_frame_is_left_alone_and_a_box_without_numbers_is_no_box():
    frame = np.full((120, 160, 3), 90, np.uint8)
    bad = [((np.nan, 0, 10, 10), "ann"), ((0, 0, np.inf, 10), "bob")]
    assert (draw_people(frame, bad) == 90).all()
    huge = draw_people(frame, [((-1e12, 20, 1e12, 100), None)])
    assert (frame == 90).all()
    assert (huge[20, 100] == as_bgr(UNKNOWN)).all()


def luminance(colour):
    blue, green, red = (v / 255 for v in as_bgr(colour))
    line = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (red, green, blue)]
    return 0.2126 * line[0] + 0.7152 * line[1] + 0.0722 * line[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_stand_out_on_light_and_dark_and_carry_text():
    for colour in (*PALETTE, UNKNOWN):
        assert contrast(colour, "#ffffff") >= 3
        assert contrast(colour, "#1b2027") >= 3, "the pages' cards in the dark"
        assert contrast(colour, INK) >= 4.5
    lab = cv2.cvtColor(np.float32([[as_bgr(colour) for colour in (*PALETTE, UNKNOWN)]]) / 255, cv2.COLOR_BGR2LAB)[0]
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 1000 * np.eye(len(lab))
    assert apart.min() > 20, "CIE76; 2.3 can just be told"


def test_a_name_has_one_colour_and_neighbours_differ():
    twelve = {colour_of(f"person-{number}") for number in range(5, 5 + len(PALETTE))}
    assert len(twelve) == len(PALETTE)
    assert colour_of("person-1") == colour_of(f"person-{1 + len(PALETTE)}")
    assert colour_of("ann") != colour_of("nan"), "the order of letters counts"
    assert colour_number("person-12") == 12
    assert colour_number("visitor 7") != colour_number("guard 7")
    assert colour_of("ann") in PALETTE
    assert colour_of("\ud800") in PALETTE
    assert colour_of("person-" + "9" * 5000) in PALETTE
    assert colour_of(None) == UNKNOWN


@pytest.mark.parametrize("name", ["person-4", "ann", "张伟"])
def test_video_page_and_report_agree_on_a_colour(name, tmp_path):
    frame, box = np.full((160, 200, 3), 90, np.uint8), [80, 60, 120, 150]
    tracked = sv.Detections(np.float32([box]), tracker_id=np.array([1]), data={"identity": np.array([name], object)})
    wanted = as_bgr(colour_of(name))
    pictures = {
        "video": AnnotatedVideo(tmp_path / "a.mp4", 10).annotate(frame, tracked),
        "stream": draw(frame, [(box, name)]),
    }
    for where, picture in pictures.items():
        assert tuple(picture[100, 80]) == wanted, where
    visit = Visit(name, "dock", 0.0, 1.0, tracks=[1], frames=5)
    page = render(Record(["dock"], [visit]), {}, "site")
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert data["people"][0]["colour"] == colour_of(name)
    assert 'style.setProperty("--person", colour)' in page, "what the page's script draws with it"
