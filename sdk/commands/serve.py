"""`reid serve`."""

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


def serve(
    sources: Annotated[list[str] | None, typer.Argument(help="One a camera, as `reid track` takes them.")] = None,
    simulated: Annotated[bool, typer.Option("--simulated", help="A drawn site instead, to try the page.")] = False,
    host: Annotated[str, typer.Option(help="Where to listen. What others can reach asks for a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any that is free.")] = 8080,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token, one line. Default: one is made where it is needed.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="PEM file, for https.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file with its private key, if that is not in it.")] = None,
    public_url: Annotated[
        str | None,
        typer.Option(
            help="Where browsers find the page if a proxy is before it: https://reid.example. Asks for a token."
        ),
    ] = None,
    events: Annotated[
        list[str] | None,
        typer.Option(help=f"Where events go: {EVENTS}"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to record in, for `reid report`; each start has a folder in it."),
    ] = None,
    store: Annotated[
        bool,
        typer.Option(
            "--store-features",
            help="With --output: keep the features of all tracks too, for `reid associate`. Forget on the page erases "
            "them.",
        ),
    ] = False,
    crops: Annotated[
        bool,
        typer.Option(
            "--store-crops",
            help="With --output: keep pictures of the people too, a dozen a track, for `reid adapt`. Forget "
            "on the page erases them.",
        ),
    ] = False,
    gallery: Annotated[
        str | None, typer.Option(help="Where identities are kept: a file, or a store. Default: memory, until the end.")
    ] = None,
    cache: Cache = None,
    plan: Annotated[
        Path | None, typer.Option(help="YAML file with an image of the site and where its cameras are, to show.")
    ] = None,
    model: Model = None,
    host_code: HostCode = False,
    graphs: Graphs = False,
    detector: Detector = None,
    rate: Rate = None,
    threshold: Threshold = None,
    zones: Zones = None,
    config: Config = None,
    strict: Strict = False,
) -> None:
    """Track people live and show a page: the cameras, who is there, where they were. Ctrl-C ends it."""
    import contextlib
    import secrets

    from sdk.errors import DataError
    from sdk.event_sinks import check_sinks, missed_events
    from sdk.events import listening
    from sdk.reidentifier import ReIdentifier
    from sdk.serve import Access, LiveSite
    from sdk.serve import serve as serve_page
    from sdk.serve.plan import Plan
    from sdk.serve.server import is_loopback
    from sdk.serve.sources import open_drawn_site, open_sources
    from sdk.serve.zones import ZoneBook
    from sdk.simulation.site import Site
    from sdk.video.associate import store_features
    from sdk.video.crop_store import CropStore
    from sdk.video.listeners import print_trouble
    from sdk.video.observer import INTERRUPTED
    from sdk.video.pictured import open_sinks
    from sdk.video.recorder import Recorder
    from sdk.video.run import run
    from sdk.video.run_folder import RunFolder, new_run
    from sdk.video.sources import source_files
    from sdk.video.stopping import noted_signals
    from sdk.zones import Zones as Shapes
    from sdk.zones import ZoneWatch

    if bool(sources) == simulated:
        raise DataError("name the sources, one a camera; or --simulated for a drawn site")
    for option, wanted in (("--store-features", store), ("--store-crops", crops)):
        if wanted and output is None:
            raise DataError(f"{option} keeps them in the folder of --output; name one")
    token = None
    if token_file is not None:
        try:
            token = token_file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise DataError(f"{token_file}: the token cannot be read ({error})") from error
    elif public_url is not None or not is_loopback(host):
        token = secrets.token_urlsafe(18)
    access = Access(token, public_url)
    used = [
        path
        for path in (model, detector, gallery, cache, config, zones, plan, token_file, certificate, key)
        if isinstance(path, str | Path)
    ]
    settings = tracker_settings(config)
    shapes = Shapes() if zones is None else zones_of(zones, drawn_later=True)  # the page may draw the first
    check_sinks(events or (), [*(source_files(sources) if sources else ()), *used])
    with contextlib.ExitStack() as stack:
        recording = stack.enter_context(contextlib.ExitStack())
        known = gallery_with(gallery, cache)
        reid = ReIdentifier(model, gallery=known, threshold=threshold, host_code=host_code, graphs=graphs)
        stack.enter_context(reid.gallery)
        if simulated:
            opened = stack.enter_context(open_drawn_site(reid, Site(0, cameras=4, people=12, seconds=300.0)))
        else:
            opened = stack.enter_context(open_sources(sources, reid, detector, rate, settings))
        # Nothing is made before the sources, the detector and the plan have been looked at.
        drawn_plan = None if plan is None else Plan.load(plan, opened.cameras)
        shapes.check_cameras(opened.cameras)
        watchers, sinks = open_sinks(events or (), opened.tracker, stack, note)
        recorders = []
        if output is not None:
            folder = recording.enter_context(RunFolder(new_run(output), "reid serve"))
            recorders.append(recording.enter_context(Recorder(folder, opened.tracker, video=False)))
            sinks.append(recorders[0].events)
            if store:
                recording.enter_context(store_features(folder, opened.tracker))
            if crops:
                recording.enter_context(CropStore(folder, opened.tracker))
                note("keeping pictures of the people there, until `reid adapt --discard` or you delete crops.bin")
            note(f"recording in {folder.path}")
        watch = ZoneWatch(shapes, opened.tracker)
        book = ZoneBook(watch, zones if isinstance(zones, Path) else None)
        live = LiveSite(opened.tracker, opened.cameras, sinks, book, drawn_plan)
        listeners = [live.listen, print_trouble, *sinks[: len(events or ())], *(r.listen for r in recorders)]
        listeners.append(watch.ledger.listen)
        stack.enter_context(listening((opened.ticks, opened.tracker, watch), listeners))
        address = stack.enter_context(serve_page(live, access, host, port, certificate, key))
        beside(events).print(address)
        if token is not None and token_file is None:
            note(f"token: {token}")
        if not is_loopback(host) and certificate is None and public_url is None:
            note("without --certificate the token and the pictures cross the network unencrypted")
        with noted_signals() as wait_for_one:  # one that comes between the run's end and the waiting is not lost
            if run(opened.ticks, opened.tracker, [*watchers, watch, *recorders, live]) != INTERRUPTED:
                recording.close()
                note(f"{live.ended}; the page stays until Ctrl-C")
                wait_for_one()
    tell_missed(missed_events(sinks), strict)
