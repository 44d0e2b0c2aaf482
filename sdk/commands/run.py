"""`reid run`."""

from pathlib import Path
from typing import Annotated

import typer

from sdk.commands.options import note


def run(
    site: Annotated[Path, typer.Argument(metavar="SITE.YAML", help="Cameras, and what is to be done (docs/site.md).")],
    check: Annotated[bool, typer.Option("--check", help="Say what is wrong in the file, and open no camera.")] = False,
) -> None:
    """Run a site as one YAML file says: `reid serve` where it has a page, else `reid track`."""
    from sdk.commands.serve import serve
    from sdk.commands.track import track
    from sdk.gallery import Gallery
    from sdk.site_file import read_site
    from sdk.site_file.options import options_of
    from sdk.video.run_folder import new_run

    found = read_site(site, track, serve)
    if check:
        cameras = [source.partition("=")[0] for source in found.values.get("sources", ())]
        note(f"{site}: nothing is wrong; {len(cameras)} cameras, {'with' if found.page else 'without'} a page")
        keys = {option.parameter: option.key for option in options_of(serve if found.page else track).values()}
        said = sorted(keys[name] for name in found.values if name != "sources")  # no values: there may be secrets
        command = f"reid {'serve' if found.page else 'track'}"
        note(f"it would run {command}; cameras: {', '.join(cameras) or 'none'}; options: {', '.join(said) or 'none'}")
        return
    if found.retention is not None:
        with Gallery(found.values["gallery"], cache=found.values.get("cache")) as gallery:
            gallery.settle(retention=found.retention)
    if found.page:
        serve(**found.values)
    elif found.values.get("overwrite"):
        track(**found.values)
    else:  # as of `reid serve`, each start has a folder in it
        track(**found.values | {"output": new_run(found.values["output"])})
