"""Where events go: JSON Lines, an MQTT broker, an HTTP address. Each is a listener, as `sdk.events` has it."""

from sdk.event_sinks.address import check_sinks, open_sink
from sdk.event_sinks.choice import Choice, parse_choice
from sdk.event_sinks.delivery import Delivery, missed_events
from sdk.event_sinks.http import http_sink
from sdk.event_sinks.json_lines import json_lines_sink
from sdk.event_sinks.mqtt import mqtt_sink

__all__ = [
    "Choice",
    "Delivery",
    "check_sinks",
    "http_sink",
    "json_lines_sink",
    "missed_events",
    "mqtt_sink",
    "open_sink",
    "parse_choice",
]
