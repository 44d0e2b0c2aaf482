"""Runs the parts of a benchmark one after the other, each in a process of its own, and keeps what comes of them.

It knows nothing of what they measure. Whatever becomes of one, the others run, and the report on the disk always has
all that was found so far: of the part that runs, of one that crashed, and of one that ran out of time.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
OK, FAILED, TIMED_OUT, SKIPPED, RUNNING = "ok", "failed", "timed out", "skipped", "running"
LEAST = 2.0
"""Seconds; no part is started with less."""
GRACE = 1.0
"""Seconds after a part's time in which it may say where it is."""
TAIL = 3000
"""Characters that are kept of a part's output: the last."""


@dataclass(frozen=True)
class Part:
    """One of them."""

    name: str
    function: str
    """MODULE:FUNCTION; see `findings.Findings`."""
    seconds: float
    """The most that it may take."""
    arguments: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """Parts without which it is skipped unless they went well."""
    again: bool = False
    """It makes files for others: resumed, it is run again."""


def run_parts(
    parts: Sequence[Part],
    output: Path,
    folder: Path,
    seconds: float,
    *,
    resume: bool = False,
    small: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> dict:
    """The report, which is in the JSON file `output` too: `date`, `seconds`, and `parts` by name, each with `status`,
    `reason`, `seconds`, `limit`, `figures`, `checks` and `output`, the end of what it printed.

    folder: the parts' own. seconds: that all may take together; a part gets no more than is left, and is skipped where
    that is nothing. resume: keep of an earlier report the parts that went well, if the first part, which says what the
    others run on, finds the same as it did then. A report in which nothing could be run replaces no other.
    """
    begun, earlier = time.monotonic(), _read(output) if resume else {}
    report = {"date": time.strftime("%Y-%m-%d"), "rehearsal": small, "seconds": 0.0, "parts": {}}
    results, replaces = {}, not output.exists()

    def keep(name: str, result: dict) -> None:
        nonlocal replaces
        results[name] = result
        replaces = replaces or result["status"] not in (SKIPPED, RUNNING)
        report["parts"] = {part.name: results[part.name] for part in parts if part.name in results}
        report["seconds"] = round(time.monotonic() - begun, 1)
        if replaces:
            _write(output, report)

    for part in parts:
        if part.name in results:  # of an earlier report
            continue
        left = seconds - (time.monotonic() - begun)
        lacking = [name for name in part.needs if results.get(name, {}).get("status") != OK]
        if lacking:
            state = results[lacking[0]]["status"] if lacking[0] in results else "not among the parts"
            result = _skipped(f"needs '{lacking[0]}', which is {state}")
        elif left < LEAST:
            result = _skipped(f"no time was left of the {seconds:.0f} s of all parts; --resume goes on from here")
        else:
            say(f"{part.name} …")
            limit = min(part.seconds, left)
            result = _run(part, folder, limit, small, lambda found, name=part.name: keep(name, found))
        if part is parts[0] and earlier:
            if earlier.get(part.name, {}).get("figures") == result["figures"]:
                again = {other.name for other in parts if other.again}
                results |= {name: old for name, old in earlier.items() if old["status"] == OK and name not in again}
            else:
                say(f"{output} is of another machine or other sources: nothing of it is kept")
        keep(part.name, result)
        say(f"{part.name}: {result['status']}" + (f", {result['reason']}" if "reason" in result else ""))
    return report


def _skipped(reason: str) -> dict:
    return {"status": SKIPPED, "reason": reason, "seconds": 0.0, "figures": {}, "checks": []}


def _run(part: Part, folder: Path, limit: float, small: bool, progress: Callable[[dict], None]) -> dict:
    """What came of one part; `progress` is told as often as there is something new."""
    with tempfile.TemporaryDirectory() as scratch:
        entries, log = Path(scratch, "entries"), Path(scratch, "log")
        entries.touch()
        command = [sys.executable, "-m", "benchmarks.gpu_parts.child", part.function, str(entries), str(folder)]
        command += [f"{limit:.1f}", "1" if small else "0", *part.arguments]
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        begun, size = time.monotonic(), 0

        def found(status: str, reason: str | None = None) -> dict:
            result = {"status": status} | ({} if reason is None else {"reason": reason})
            result |= {"seconds": round(time.monotonic() - begun, 2), "limit": round(limit, 1)}
            output = log.read_text(errors="replace")
            told = _told(entries)
            return result | {"figures": told["figures"], "checks": told["checks"], "output": output[-TAIL:]}

        with log.open("wb") as stream:
            process = subprocess.Popen(
                command, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL, start_new_session=True,
                env=os.environ | {"PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
            try:
                while process.poll() is None and time.monotonic() - begun < limit + GRACE:
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(timeout=0.1)
                    if (now := entries.stat().st_size) != size:
                        size = now
                        progress(found(RUNNING))
                code = process.poll()
            finally:
                with suppress(ProcessLookupError):  # with whatever it has started
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return found(*_judged(code, _told(entries), log.read_text(errors="replace"), limit))


def _judged(code: int | None, told: dict, output: str, limit: float) -> tuple[str, str | None]:
    """Status and reason. code: of the process; None: it was still running."""
    at_the_end = "it had done its work, and " if told["done"] else ""
    if code is None:
        return TIMED_OUT, f"{at_the_end}after {limit:.0f} s it was ended"
    if code < 0:
        return FAILED, f"{at_the_end}it died of {signal.Signals(-code).name}"
    if code:
        last = told["error"] or (output.strip().splitlines() or ["it did not say why"])[-1]
        return FAILED, f"{at_the_end}it ended with {code}: {last[:300]}"
    if told["skipped"] is not None:
        return SKIPPED, told["skipped"]
    if not told["done"]:
        return FAILED, "it ended without a word"
    broken = [check["check"] for check in told["checks"] if not check["holds"]]
    return (FAILED, f"does not hold: {'; '.join(broken)}") if broken else (OK, None)


def _told(entries: Path) -> dict:
    """A part's lines so far."""
    told = {"figures": {}, "checks": [], "skipped": None, "error": None, "done": False}
    for line in entries.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:  # it is being written, or was when it died
            continue
        if "figure" in entry:
            told["figures"][entry["figure"]] = entry["value"]
        elif "check" in entry:
            told["checks"].append(entry)
        else:
            told |= entry
    return told


def _read(output: Path) -> dict:
    """The parts of an earlier report; none where there is none that can be read."""
    try:
        parts = json.loads(output.read_text(encoding="utf-8"))["parts"]
        return {name: part for name, part in parts.items() if part["status"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write(output: Path, report: dict) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    beside = output.with_name(f".{output.name}.part")
    beside.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(output)
