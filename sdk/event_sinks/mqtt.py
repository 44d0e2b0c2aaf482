"""Events to an MQTT broker, which building and home automation speak."""

import re
import threading
from urllib.parse import unquote

from sdk.confidential import take_apart
from sdk.errors import DataError, missing_package
from sdk.event_sinks.delivery import Delivery, UnreachableError
from sdk.events import Event

TIMEOUT = 5.0
"""Seconds to wait for the broker's acknowledgement."""
CONNECT_TIMEOUT = 0.5
"""Seconds to wait for a connection before it counts as trouble."""
LONGEST_RECONNECT = 30
"""Seconds between two attempts to connect."""
DEFAULT_TOPIC = "reid"
PORTS = {"mqtt": 1883, "mqtts": 8883}


def mqtt_sink(url: str, password: str | None = None, **settings) -> Delivery:
    """Publish every event as JSON under `<topic>/<camera>/<kind>`, or `<topic>/site/<kind>` where it has no camera.

    url: `mqtt://[user@]host[:port][/topic]`, mqtts over TLS; the topic is `reid` if none is given. Quality of service
    1: the broker acknowledges each. `<topic>/status` is kept by the broker: "online", and "offline" once this program
    is gone. settings: of `Delivery`. Raises `DataError` if `url` is no such address, `MissingPackageError` without
    paho-mqtt.
    """
    parts = take_apart(url)
    port = parts.port or PORTS.get(parts.scheme)
    topic = unquote(parts.path.reveal()).strip("/") or DEFAULT_TOPIC
    if port is None or not parts.host or parts.query or "#" in url or re.search(r"[#+\0]", topic):
        raise DataError("events over MQTT need an address mqtt://[USER@]HOST[:PORT][/TOPIC], the topic without # and +")
    try:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion
    except ImportError:
        raise missing_package("paho-mqtt", "mqtt", "sending events over MQTT") from None
    client = Client(CallbackAPIVersion.VERSION2)
    if parts.scheme == "mqtts":
        client.tls_set()
    if parts.user:
        client.username_pw_set(parts.user.reveal(), parts.password.reveal() if parts.password else password)
    publisher = _Publisher(client, parts.host, port, topic)
    steps = parts.shown.removeprefix(parts.origin).strip("/") or DEFAULT_TOPIC
    return Delivery(f"{parts.scheme}://{parts.host}:{port}/{steps}", publisher, **settings)


def topic_of(event: Event, prefix: str) -> str:
    """Where an event is published; what MQTT forbids in a name, or would read as a level, becomes `_`."""
    camera = "site" if event.camera is None else re.sub(r"[/#+\0]", "_", event.camera) or "_"
    return f"{prefix}/{camera}/{event.kind}"


class _Publisher:
    def __init__(self, client, host: str, port: int, topic: str):
        self._client = client
        self._topic = topic
        self._failure = "not connected yet"
        self._connected = threading.Event()
        self._sent: tuple[int, object] | None = None
        client.will_set(f"{topic}/status", "offline", qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        client.reconnect_delay_set(1, LONGEST_RECONNECT)
        client.connect_async(host, port)
        client.loop_start()

    def send(self, event: Event, number: int) -> None:
        if self._sent is None or self._sent[0] != number:
            if not self._connected.wait(CONNECT_TIMEOUT):
                raise UnreachableError(self._failure)
            self._sent = number, self._client.publish(topic_of(event, self._topic), event.to_json(), qos=1)
        # Otherwise the client has it, and sends it again by itself when it is connected again.
        info = self._sent[1]
        try:
            info.wait_for_publish(TIMEOUT)
        except (RuntimeError, ValueError):  # the client did not take it
            self._sent = None
            raise UnreachableError(self._failure) from None
        if not info.is_published():
            raise UnreachableError("the broker does not acknowledge" if self._connected.is_set() else self._failure)

    def close(self) -> None:
        if self._connected.is_set():
            self._client.publish(f"{self._topic}/status", "offline", qos=1, retain=True).wait_for_publish(0.5)
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client, _data, _flags, reason, _properties) -> None:
        if reason.is_failure:
            self._failure = f"the broker refuses: {reason}"
        else:
            client.publish(f"{self._topic}/status", "online", qos=1, retain=True)
            self._connected.set()

    def _on_disconnect(self, _client, _data, _flags, reason, _properties) -> None:
        self._connected.clear()
        if not self._failure.startswith("the broker refuses"):
            self._failure = f"the connection was lost ({reason})"

    def _on_connect_fail(self, _client, _data) -> None:
        self._failure = "no connection to the broker"
