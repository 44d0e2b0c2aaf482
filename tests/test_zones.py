"""Zones and lines: what a file says, and what people do in them."""

import pytest

from sdk.errors import DataError
from sdk.zones import Zones, read_zones

SQUARE = [[10, 10], [110, 10], [110, 110], [10, 110]]


def test_a_file_is_read_and_written(tmp_path):
    path = tmp_path / "zones.yaml"
    path.write_text(
        "cameras:\n  dock:\n    zones:\n      gate: [[10, 10], [110, 10], [110, 110.5]]\n"
        "    lines:\n      door: [[0.5, 0], [0.5, 1]]\n  lobby:\n"
    )
    zones = read_zones(path)
    assert list(zones) == ["dock", "lobby"]
    (gate,), (door,) = zones.of("dock").zones, zones.of("dock").lines
    assert gate.pixels(640, 480).tolist() == [[10, 10], [110, 10], [110, 110.5]]
    assert door.pixels(640, 480).tolist() == [[320, 0], [320, 480]], "all between 0 and 1: shares of the picture"
    zones.save(path)
    assert read_zones(path).of("dock") == zones.of("dock")
    assert read_zones(path).of("elsewhere").zones == ()


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"zones": {"gate": SQUARE[:2]}}, "camera 'dock', zone 'gate': 2 points; a zone has 3"),
        ({"zones": {"gate": [SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3]]}}, "gate': its sides cross"),
        ({"zones": {"gate": [[0, 0], [5, 0], [9, 0]]}}, "gate': it has no area"),
        ({"zones": {"gate": [[0, 0], [5, "x"], [9, 9]]}}, r"gate': its points are no list of \[x, y\]"),
        ({"zones": {"gate": [[0, 0], [5, -1], [9, 9]]}}, "gate': its points are no list"),
        ({"zones": {1: SQUARE}}, "in quotes"),
        ({"zones": {"a\nb": SQUARE}}, "line break"),
        ({"zones": [SQUARE]}, "have no names"),
        ({"lines": {"door": [[1, 1], [1, 1]]}}, "camera 'dock', line 'door': 2 points; a line has two, which differ"),
        ({"zones": {"door": SQUARE}, "lines": {"door": [[1, 1], [2, 1]]}}, "another name"),
        ({"zone": {}}, "'zone' is unknown; write 'zones' or 'lines'"),
        ("gate", "write 'zones:'"),
    ],
)
def test_what_is_no_zone_is_named(own, says):
    with pytest.raises(DataError, match=says):
        Zones.from_mapping({"dock": own})


def test_what_is_no_file_of_zones_is_named(tmp_path):
    path = tmp_path / "zones.yaml"
    for text in ("dock: {}", "[1]", "cameras: ["):
        path.write_text(text)
        with pytest.raises(DataError, match=r"zones\.yaml: (holds no zones|cannot be read)"):
            read_zones(path)
    with pytest.raises(DataError, match=r"nowhere\.yaml: .*No such file"):
        read_zones(tmp_path / "nowhere.yaml")
    with pytest.raises(DataError, match=r"'dock', which is not here; there are lobby"):
        Zones.from_mapping({"dock": {"zones": {"gate": SQUARE}}}).check_cameras(["lobby"])
