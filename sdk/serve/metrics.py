"""A running site in the text format of Prometheus (version 0.0.4)."""

import os
import time as clock
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sdk import __version__
from sdk.names import distinct
from sdk.serve.site import BUCKETS, LiveSite

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render_metrics(site: LiveSite) -> str:
    """All metrics of the site and of this process."""
    return "".join(f"{line}\n" for line in _lines(site))


def _lines(site: LiveSite) -> Iterator[str]:
    yield from _family("reid_info", "gauge", "The version of the SDK.", [({"version": __version__}, 1)])
    yield from _family("reid_ticks_total", "counter", "Ticks that were tracked.", [({}, site.ticks)])
    yield from _histogram(site)
    rows = [({"camera": camera.name}, camera) for camera in list(site.cameras)]
    for name, kind, text, value in (
        ("reid_camera_frames_total", "counter", "Frames that were tracked.", lambda camera: camera.frames),
        ("reid_camera_up", "gauge", "Whether frames come.", lambda camera: camera.state == "live"),
        ("reid_camera_frame_rate", "gauge", "Frames a second, of late.", lambda camera: camera.rate),
        ("reid_camera_silence_seconds", "gauge", "Time since the last frame.", lambda camera: camera.silence),
        ("reid_people_in_view", "gauge", "Tracks in the last frame.", lambda camera: len(camera.people)),
    ):
        yield from _family(name, kind, text, [(labels, value(camera)) for labels, camera in rows])
    state = site.state()
    yield from _family("reid_people_present", "gauge", "Identities at the site now.", [({}, len(state["present"]))])
    yield from _family("reid_identities", "gauge", "Identities in the gallery.", [({}, state["known"])])
    yield from _family("reid_exemplars", "gauge", "Exemplars in the gallery.", [({}, len(site.tracker.reid.gallery))])
    events = [({"kind": kind}, number) for kind, number in sorted(dict(site.events).items())]
    yield from _family("reid_events_total", "counter", "Events by kind.", events)
    names = distinct(sink.name for sink in site.sinks)
    sinks = [({"sink": name}, sink) for name, sink in zip(names, site.sinks, strict=True)]
    for field in ("delivered", "dropped", "refused", "waiting"):
        kind, name = ("gauge", "reid_sink_waiting") if field == "waiting" else ("counter", f"reid_sink_{field}_total")
        values = [(labels, getattr(sink, field)) for labels, sink in sinks]
        yield from _family(name, kind, f"Events that were {field}, by sink.", values)
    yield from _zones(site)
    yield from _family("process_start_time_seconds", "gauge", "Since 1970.", [({}, site.started)])
    yield from _family("process_cpu_seconds_total", "counter", "User and system.", [({}, clock.process_time())])
    if (memory := _resident_memory()) is not None:
        yield from _family("process_resident_memory_bytes", "gauge", "Memory in use.", [({}, memory)])


def _zones(site: LiveSite) -> Iterator[str]:
    """Gauges, not counters: who turns out to be one person later is counted once from then on."""
    if site.zones is None:
        return
    people, sums = Counter(), {name: Counter() for name in ("here", "visits", "seconds", "crossed_in", "crossed_out")}
    for camera, own in site.zones.zones.cameras.items():
        for shape in (*own.zones, *own.lines):
            people[camera, shape.name] = 0
    lines = {(camera, line.name) for camera, own in site.zones.zones.cameras.items() for line in own.lines}
    for row in site.zones.rows():
        key = (row.camera, row.zone)
        people[key] += row.identity is not None
        lines |= {key} if row.is_line else set()
        for name, sum in sums.items():
            sum[key] += getattr(row, name)
    zones = [
        ({"camera": camera, "zone": name}, (camera, name)) for camera, name in people if (camera, name) not in lines
    ]
    for name, text, values in (
        ("reid_zone_occupancy", "People, and tracks without a name, that are in the zone now.", sums["here"]),
        ("reid_zone_people", "Identities that were in the zone, each once.", people),
        ("reid_zone_visits", "Visits to the zone.", sums["visits"]),
        ("reid_zone_dwell_seconds", "Time that people spent in the zone, together.", sums["seconds"]),
    ):
        yield from _family(name, "gauge", text, [(labels, values[key]) for labels, key in zones])
    crossed = [
        ({"camera": key[0], "line": key[1], "direction": way}, sums[f"crossed_{way}"][key])
        for key in sorted(lines)
        for way in ("in", "out")
    ]
    yield from _family("reid_line_crossings", "gauge", "Crossings of the line.", crossed)
    who = [({"camera": key[0], "line": key[1]}, people[key]) for key in sorted(lines)]
    yield from _family("reid_line_people", "gauge", "Identities that crossed the line, each once.", who)


def _histogram(site: LiveSite) -> Iterator[str]:
    name, counts, below = "reid_tick_seconds", dict(site.tick_buckets), 0
    yield f"# HELP {name} Time that a tick took."
    yield f"# TYPE {name} histogram"
    for limit in BUCKETS:
        below += counts.get(limit, 0)
        yield f'{name}_bucket{{le="{limit}"}} {below}'
    total = below + counts.get(float("inf"), 0)
    yield f'{name}_bucket{{le="+Inf"}} {total}'
    yield f"{name}_sum {site.tick_seconds}"
    yield f"{name}_count {total}"


def _family(name: str, kind: str, text: str, rows: list[tuple[dict[str, str], float]]) -> Iterator[str]:
    if not rows:
        return
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in rows:
        inside = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
        yield f"{name}{{{inside}}} {_number(value)}" if inside else f"{name} {_number(value)}"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    value = float(value)
    return "+Inf" if value == float("inf") else repr(int(value) if value.is_integer() else value)


def _resident_memory() -> int | None:
    """Bytes; None where the system does not tell it in the way of Linux."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
