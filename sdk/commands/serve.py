"""`reid serve`."""

from pathlib import Path
from typing import Annotated

import typer

from sdk.commands.options import Detector, Model, Rate, Threshold
from sdk.terminal import notes, results


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
    events: Annotated[
        list[str] | None,
        typer.Option(help="Where events go: a file, - (standard output), http(s)://…, mqtt(s)://…; may be repeated."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to record in, for `reid report`; each start has a folder in it."),
    ] = None,
    gallery: Annotated[
        str | None, typer.Option(help="Where identities are kept: a file, or a store. Default: memory, until the end.")
    ] = None,
    model: Model = None,
    detector: Detector = "hog",
    rate: Rate = None,
    threshold: Threshold = None,
) -> None:
    """Track people live and show a page: the cameras, who is there, where they were. Ctrl-C ends it."""
    import contextlib
    import secrets
    import threading

    from sdk.errors import DataError
    from sdk.event_sinks import open_sink
    from sdk.reidentifier import ReIdentifier
    from sdk.serve import Access, LiveSite
    from sdk.serve import serve as serve_page
    from sdk.serve.run import ended_by_signals, record, run_site
    from sdk.serve.server import is_loopback
    from sdk.serve.sources import open_drawn_site, open_sources
    from sdk.simulation.site import Site
    from sdk.video.listeners import Listeners, print_trouble

    if bool(sources) == simulated:
        raise DataError("name the sources, one a camera; or --simulated for a drawn site")
    token = None
    if token_file is not None:
        try:
            token = token_file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise DataError(f"{token_file}: the token cannot be read ({error})") from error
    elif not is_loopback(host):
        token = secrets.token_urlsafe(18)
    access, stop, listeners = Access(token), threading.Event(), Listeners()
    with ended_by_signals(), contextlib.ExitStack() as stack:
        sinks = [stack.enter_context(open_sink(address)) for address in events or ()]
        reid = ReIdentifier(model, gallery=gallery, threshold=threshold)
        stack.callback(reid.gallery.close)
        if simulated:
            site = Site(0, cameras=4, people=12, seconds=300.0)
            opened = stack.enter_context(open_drawn_site(reid, site, listeners, stop))
        else:
            opened = stack.enter_context(open_sources(sources, reid, detector, listeners, stop, rate))
        recording = None
        if output is not None:
            recording = stack.enter_context(record(output, opened.tracker.identity_of))
            sinks.append(stack.enter_context(open_sink(str(recording.folder / "events.jsonl"))))
            notes.print(f"recording in {recording.folder}", soft_wrap=True)
        live = LiveSite(opened.tracker, opened.cameras, sinks)
        for listener in (live.listen, print_trouble, *sinks):
            listeners.add(listener)
        address = stack.enter_context(serve_page(live, access, host, port, certificate, key))
        (notes if "-" in (events or ()) else results).print(address)
        if token is not None and token_file is None:
            notes.print(f"token: {token}")
        if not is_loopback(host) and certificate is None:
            notes.print(
                "without --certificate the token and the pictures cross the network unencrypted", soft_wrap=True
            )
        run_site(live, opened.ticks, stop, recording)
        notes.print(f"{live.ended}; the page stays until Ctrl-C", soft_wrap=True)
        stop.wait()
