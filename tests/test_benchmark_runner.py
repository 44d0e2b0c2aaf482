"""Parts of a benchmark in processes of their own: whatever becomes of one, the others run and all is kept."""

import json
import time
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.gpu_parts import runner
from benchmarks.gpu_parts.report import to_markdown
from benchmarks.gpu_parts.runner import Part, run_parts


def part(name: str, function: str | None = None, seconds: float = 20, **others) -> Part:
    return Part(name, f"tests.benchmark_parts:{function or name}", seconds, **others)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "GRACE", 0.3)
    monkeypatch.setattr(runner, "LEAST", 0.5)

    def run(*parts: Part, seconds: float = 60, **options) -> dict:
        report = run_parts(parts, tmp_path / "report.json", tmp_path, seconds, **options)
        assert not list(tmp_path.glob(".*"))
        return report

    return run


def is_running(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().split(") ")[1][0] not in "ZX"
    return False


def test_whatever_becomes_of_a_part_all_others_run_and_all_is_kept(run, tmp_path):
    run(
        part("raises"), part("crashes"), part("is killed", "is_killed"), part("hangs", seconds=1),
        part("dies", "dies_at_the_end"), part("lacks", "lacks_a_thing"), part("package", "lacks_a_package"),
        part("module", "lacks_a_module_of_ours"), part("no function", "no_function"),
        part("after it", "good", needs=("crashes",)), part("good", arguments=("last",)), small=True,
    )  # fmt: skip
    found = json.loads((tmp_path / "report.json").read_text())["parts"]
    statuses = {name: result["status"] for name, result in found.items()}
    assert statuses == dict.fromkeys(("raises", "crashes", "is killed", "dies", "module", "no function"), "failed") | {
        "hangs": "timed out", "lacks": "skipped", "package": "skipped", "after it": "skipped", "good": "ok",
    }  # fmt: skip
    reasons = {name: result.get("reason") for name, result in found.items()}
    assert reasons["raises"] == "it ended with 1: ValueError: the GPU fell off the bus"
    assert reasons["crashes"] == "it died of SIGSEGV"
    assert reasons["is killed"] == "it died of SIGKILL"
    assert reasons["hangs"] == "after 1 s it was ended"
    assert reasons["dies"] == "it had done its work, and it died of SIGABRT"
    assert reasons["lacks"] == "there is no tensor core"
    assert reasons["package"] == "the package a_package_that_is_not_there is not installed"
    assert reasons["module"] == "it ended with 1: ModuleNotFoundError: No module named 'sdk.no_such_module'"
    assert reasons["after it"] == "needs 'crashes', which is failed"
    assert [found[name]["figures"]["before"] for name in ("raises", "crashes", "is killed", "dies")] == [1, 2, 3, 4]
    assert found["crashes"]["checks"] == [{"check": "so far", "value": 0, "limit": "≤ 0", "holds": True}]
    for name, function in (("raises", "raises"), ("crashes", "crashes"), ("hangs", "hangs")):  # where it was
        assert f"in {function}" in found[name]["output"]
    assert 1 <= found["hangs"]["seconds"] < 10
    assert not is_running(found["hangs"]["figures"]["started"])
    assert found["good"]["figures"] == {"argument": "last", "time enough": True, "nothing": "nan"}


def test_a_check_that_does_not_hold_fails_and_a_rehearsal_judges_no_speed(run):
    result = run(part("good"))["parts"]["good"]
    assert (result["status"], result["reason"]) == ("failed", "does not hold: fast enough")
    result = run(part("good"), small=True)["parts"]["good"]
    assert (result["status"], [check["check"] for check in result["checks"]]) == ("ok", ["small enough"])


def test_no_part_takes_more_than_is_left(run, tmp_path):
    """The second is ended early, the third not begun, and on another day they are."""
    parts = part("machine"), part("hangs", seconds=500), part("good")
    (tmp_path / "gpu").write_text("one")
    begun = time.monotonic()
    report = run(*parts, seconds=2, small=True)
    assert time.monotonic() - begun < 10
    assert report["parts"]["hangs"]["limit"] <= 2
    assert report["parts"]["good"]["reason"] == "no time was left of the 2 s of all parts; --resume goes on from here"
    again = run(parts[0], part("hangs", "good"), parts[2], resume=True, small=True)
    assert {name: result["status"] for name, result in again["parts"].items()} == dict.fromkeys(report["parts"], "ok")


def test_resumed_it_keeps_what_went_well_on_the_same_machine_only(run, tmp_path):
    parts = part("machine"), part("a", "good", arguments=("a",)), part("b", "good", arguments=("b",), again=True)
    (tmp_path / "gpu").write_text("one")
    first, said = run(*parts, small=True), []
    kept = run(*parts, small=True, resume=True)
    assert kept["parts"]["a"] == first["parts"]["a"]
    assert list(kept["parts"]) == ["machine", "a", "b"]
    (tmp_path / "gpu").write_text("another")
    run(*parts, small=True, resume=True, say=said.append)
    assert (tmp_path / "runs").read_text().split() == ["a", "b", "b", "a", "b"]
    assert any("is of another machine" in line for line in said)
    (tmp_path / "report.json").write_text('{"parts": {"a": 3}}')  # no report of ours
    assert run(*parts, small=True, resume=True)["parts"]["a"]["status"] == "ok"


def test_the_report_has_what_was_found_while_a_part_still_runs(tmp_path, monkeypatch):
    """As the file is when the runner itself is killed then; and a part that was running is run again."""
    seen, write = [], runner._write

    def spy(output, report):
        write(output, report)
        seen.append(json.loads(output.read_text())["parts"])

    monkeypatch.setattr(runner, "_write", spy)
    monkeypatch.setattr(runner, "GRACE", 0.1)
    (tmp_path / "gpu").write_text("one")
    run_parts([part("machine"), part("hangs", seconds=1)], tmp_path / "r.json", tmp_path, 60)
    running = [parts["hangs"] for parts in seen if parts.get("hangs", {}).get("status") == "running"]
    assert running
    assert running[-1]["figures"]["started"] > 1


def test_a_report_in_which_nothing_ran_replaces_no_other(run, tmp_path):
    parts = part("lacks", "lacks_a_thing"), part("good", needs=("lacks",))
    report = run(*parts)
    assert json.loads((tmp_path / "report.json").read_text())["parts"] == report["parts"]
    (tmp_path / "report.json").write_text("of a GPU")
    run(*parts)
    assert (tmp_path / "report.json").read_text() == "of a GPU"


def test_its_markdown_says_what_ran_what_did_not_and_what_holds():
    checks = [{"check": "share", "value": "nan", "limit": "≥ 0.6", "holds": False}]
    ran = {"status": "failed", "seconds": 1.25, "figures": {"of": {"a": 0.123456}}, "checks": checks}
    parts = {"kernel": ran | {"reason": "does|not"}}
    text = to_markdown({"date": "2026-12-01", "seconds": 9, "rehearsal": False, "parts": parts})
    assert "| kernel | failed | 1.2 | does\\|not |" in text
    assert "| kernel | of: a | 0.1235 |" in text
    assert "| share | nan | ≥ 0.6 | **fails** |" in text
