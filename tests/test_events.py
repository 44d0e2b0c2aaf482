"""Events: one line of JSON each, of a known kind."""

import json

import pytest

from sdk.events import Event


def test_an_event_is_one_line_of_json():
    event = Event(1.5, "left", "dock", 3, "Ann\nA", {"first": 0.5, "last": 1.5})
    line = event.to_json()
    assert "\n" not in line
    assert json.loads(line)["identity"] == "Ann\nA"
    assert Event(**json.loads(line)) == event


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="'arrived' is no kind of event"):
        Event(0.0, "arrived")
