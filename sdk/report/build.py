"""The page itself: one file that needs no other, and that asks no network for anything."""

import base64
import html
import json
import re
from dataclasses import asdict
from pathlib import Path

from sdk.colours import colour_of
from sdk.names import visible
from sdk.odds import reason_in_words
from sdk.output import check_output, write_whole
from sdk.report.pictures import kept_pictures
from sdk.report.thumbnails import MOST, cut_thumbnails
from sdk.report.transitions import transitions
from sdk.report.visits import Record, natural, read_record
from sdk.video.run_folder import recorded_files
from sdk.web import common_script, look, source_hash

PAGE = Path(__file__).parent / "page"


def build_report(
    folder: str | Path,
    path: str | Path,
    title: str | None = None,
    videos: str | Path | None = None,
    day: str | None = None,
) -> Record:
    """Write the report about `folder`, which `reid track` wrote, to `path`. Returns the `Record` that it shows.

    title: the heading; None: the folder's name. videos: the folder with `<camera>.mp4` from which the pictures of
    people are cut; None: `pictures.jsonl` of `folder`, and its videos, where boxes are drawn in. day: see
    `read_record`. Raises `DataError` if the folder holds no records, or the page cannot be written, or would
    overwrite a file of the run.
    """
    folder, path = Path(folder), Path(path)
    check_output(path, [file for place in (folder, videos or folder) for file in recorded_files(place)])
    record = read_record(folder, day)
    kept = kept_pictures(record.visits, folder) if videos is None else {}
    pictures = cut_thumbnails(record.visits, Path(videos) if videos else folder, MOST - len(kept), without=kept) | kept
    write_whole(path, render(record, pictures, title or folder.resolve().name))
    return record


def render(record: Record, pictures: dict[int, bytes], title: str) -> str:
    """The whole page as HTML. pictures: JPEG by index of a visit."""
    style = look() + (PAGE / "report.css").read_text(encoding="utf-8")
    script = common_script() + "".join((PAGE / name).read_text(encoding="utf-8") for name in ("report.js", "zones.js"))
    policy = (
        f"default-src 'none'; img-src data:; script-src {source_hash(script)}; style-src {source_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "TITLE": html.escape(visible(title)),
        "POLICY": html.escape(policy, quote=True),
        "STYLE": style,
        "DATA": _inside_script(json.dumps(_content(record, pictures, title), ensure_ascii=False, allow_nan=False)),
        "SCRIPT": script,
    }
    template = (PAGE / "report.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda mark: parts[mark[1]], template)


def _content(record: Record, pictures: dict[int, bytes], title: str) -> dict:
    cameras = {camera: number for number, camera in enumerate(sorted(record.cameras, key=natural))}
    names = sorted({visit.identity for visit in record.visits}, key=natural)
    people: dict[str, list] = {name: [] for name in names}
    for index, visit in enumerate(record.visits):
        reasons = [record.reasons[key] for track in visit.tracks if (key := (visit.camera, track)) in record.reasons]
        picture = pictures.get(index)
        people[visit.identity].append(
            {
                "camera": cameras[visit.camera],
                "first": round(visit.first, 2),
                "last": round(visit.last, 2),
                "frames": visit.frames,
                "picture": base64.b64encode(picture).decode() if picture else None,
                "reason": reasons[0] if reasons else None,
                "evidence": reason_in_words(reasons[0]) if reasons else None,
            }
        )
    start, end = record.span
    number = {name: i for i, name in enumerate(names)}
    return {
        "title": title,
        "cameras": list(cameras),
        "span": [start, end],
        "unnamed": record.unnamed,
        "people": [{"name": name, "colour": colour_of(name), "visits": people[name]} for name in names],
        "ways": [
            [number[w.identity], cameras[w.origin], cameras[w.destination], round(w.time, 2), round(w.seconds, 2)]
            for w in transitions(record.visits)
        ],
        "outages": [asdict(outage) | {"camera": cameras[outage.camera]} for outage in record.outages],
        "events": record.events,
        "zones": [asdict(row) for row in record.zones],
    }


def _inside_script(text: str) -> str:
    """JSON that no HTML parser takes for the end of its script element."""
    return visible(text.replace("<", "\\u003c"))
