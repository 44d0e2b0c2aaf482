"""`reid track`."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from sdk.commands.options import (
    EVENTS,
    Cache,
    Config,
    Detector,
    Graphs,
    HostCode,
    Model,
    Overwrite,
    Rate,
    Strict,
    Threshold,
    Zones,
    beside,
    gallery_with,
    note,
    tell_missed,
    tracker_settings,
    zones_of,
)
from sdk.terminal import notes

SEGMENT = 600.0
"""Seconds of a live camera in one video file."""


def track(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="One a camera: a video file, a folder of images, rtsp://…, http://…, usb:0, csi:0, a GStreamer "
            "pipeline. NAME=SOURCE names the camera; @FILE has one a line."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for videos, records and events.")],
    model: Model = None,
    host_code: HostCode = False,
    graphs: Graphs = False,
    detector: Detector = None,
    detections: Annotated[
        Path | None,
        typer.Option(
            help="Folder with boxes that another program found, in place of a detector: a camera's dock.txt "
            "(MOTChallenge det.txt) or dock.jsonl (docs/cameras.md). Of files alone."
        ),
    ] = None,
    threshold: Threshold = None,
    gallery: Annotated[
        str | None, typer.Option(help="A gallery file: who is known, from run to run. Default: nobody, for this run.")
    ] = None,
    cache: Cache = None,
    rate: Rate = None,
    seconds: Annotated[float | None, typer.Option(help="End after so long. Default: when the sources end.")] = None,
    video: Annotated[
        bool | None, typer.Option(help="Write annotated videos. Default: of files alone, not of live cameras.")
    ] = None,
    events: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Where events go besides events.jsonl: {EVENTS}",
        ),
    ] = None,
    store: Annotated[
        bool | None,
        typer.Option(
            "--store-features/--no-store-features",
            help="Keep the features of all tracks, for a second pass over the run. Default: of files alone, not of "
            "live cameras.",
        ),
    ] = None,
    crops: Annotated[
        bool,
        typer.Option(
            "--store-crops",
            help="Keep pictures of the people, a dozen a track, in OUTPUT/crops.bin, for `reid adapt`. They are erased "
            "by `reid forget` and `reid adapt --discard`.",
        ),
    ] = False,
    second_pass: Annotated[
        bool,
        typer.Option(
            "--second-pass/--no-second-pass",
            help="When files have ended, solve the whole run once more and write the final names.",
        ),
    ] = True,
    zones: Zones = None,
    config: Config = None,
    strict: Strict = False,
    overwrite: Overwrite = False,
) -> None:
    """Track people over several cameras and say who was seen where and when."""
    from sdk.event_sinks import check_sinks, missed_events, parse_choice
    from sdk.events import listening
    from sdk.reidentifier import ReIdentifier
    from sdk.tracking import MultiCameraTracker
    from sdk.tracking.multi_camera import known_site
    from sdk.video.associate import associate, store_features
    from sdk.video.crop_store import CropStore
    from sdk.video.given_boxes import given_boxes
    from sdk.video.listeners import print_trouble
    from sdk.video.observer import INTERRUPTED
    from sdk.video.origin import remember_origin
    from sdk.video.pictured import open_sinks
    from sdk.video.recorder import Recorder
    from sdk.video.run import ProgressBar, run
    from sdk.video.run_folder import RunFolder
    from sdk.video.sources import Sources, source_files, trouble_table
    from sdk.video.summary import sightings_table
    from sdk.zones import ZoneWatch

    files = source_files(sources)
    given = (model, detector, gallery, cache, config, zones, detections)
    used = [path for path in given if isinstance(path, str | Path)]
    settings = tracker_settings(config)
    shapes = None if zones is None else zones_of(zones)
    check_sinks(events or (), [*files, *used])
    RunFolder.check(output, files, [*used, *(parse_choice(address)[0] for address in events or ())], overwrite)
    with contextlib.ExitStack() as stack:
        site = stack.enter_context(Sources(sources, rate, seconds=seconds))
        boxes = None if detections is None else given_boxes(detections, detector, site)
        if shapes is not None:
            shapes.check_cameras(site.cameras)
        written = not site.live if video is None else video
        reid = ReIdentifier(model, gallery_with(gallery, cache), threshold, host_code=host_code, graphs=graphs)
        stack.enter_context(reid.gallery)
        known = known_site(reid, settings)  # without what this run teaches: the second pass learns from it anew
        tracker = MultiCameraTracker(
            reid, detector if boxes is None else {}, frame_rate=site.tick_rate, config=settings
        )
        # Nothing is made before all that may be wrong has been looked at.
        watchers, sinks = open_sinks(events or (), tracker, stack, note)
        folder = stack.enter_context(RunFolder(output, "reid track", overwrite))
        segment = SEGMENT if site.live else None
        remember_origin(folder, site, segment=segment, model=model, detector=detector)
        stored = not site.live if store is None else store
        features = stack.enter_context(store_features(folder, tracker)) if stored else None
        if crops:
            stack.enter_context(CropStore(folder, tracker))
            notes.print(
                f"keeping pictures of the people in {output}/crops.bin, until `reid adapt --discard` or you delete it",
                soft_wrap=True,
            )
        recorder = stack.enter_context(Recorder(folder, tracker, site.frame_rates, video=written, segment=segment))
        tellers, listeners = [site, tracker], [print_trouble, *sinks, recorder.listen]
        if shapes is not None:
            watchers.append(watch := ZoneWatch(shapes, tracker))
            tellers.append(watch)
            listeners.append(watch.ledger.listen)
        stack.enter_context(listening(tellers, listeners))
        interrupted = run(site, tracker, [*watchers, recorder, ProgressBar(site.ticks)], boxes=boxes) == INTERRUPTED
        sightings = recorder.sightings
        if interrupted:
            notes.print("interrupted; the files hold what was seen so far")
        elif features is not None and second_pass and not site.live:
            features.close()
            done = associate(folder, reid, settings, site=known)
            sightings = done.sightings
            for event in done.events:
                for sink in sinks:
                    sink(event)
            notes.print(f"second pass: {done.changed} tracks have another name than at first")
    tables = beside(events)
    tables.print(sightings_table(sightings))
    if (trouble := trouble_table(site.reports)) is not None:
        tables.print(trouble)
    notes.print(f"wrote records, events and{'' if written else ' no'} videos to {output}", soft_wrap=True)
    tell_missed(missed_events([*sinks, recorder.events]), strict)
