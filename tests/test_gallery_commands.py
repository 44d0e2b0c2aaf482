"""`reid gallery`: what an operator does with a gallery file."""

import json
import sqlite3
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from sdk.cli import build_app
from sdk.errors import DataError, GalleryError, ReIDError
from sdk.gallery import Gallery
from tests.galleries import features_of, traces


@pytest.fixture(scope="module")
def run():
    app = build_app()

    def run(*arguments, fails=None):
        result = CliRunner().invoke(app, ["gallery", *map(str, arguments)])
        if fails:
            assert isinstance(result.exception, fails), result.output
            return str(result.exception)
        assert result.exit_code == 0, (result.output, result.exception)
        return result

    return run


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    with Gallery(folder / "site.db") as gallery:
        for name in ("ann", "bob", "eve-end"):
            gallery.add(features_of(name), identity=name, camera="dock", time=3.0)
    return folder / "site.db"


def listed(run, path):
    return {entry["identity"]: entry["exemplars"] for entry in json.loads(run("list", path, "--json").stdout)}


def test_list_and_show_as_tables_and_json(run, path):
    table = run("list", path).stdout
    assert all(word in table for word in ("ann", "bob", "eve-end", "dock", "#1"))
    assert listed(run, path) == {"ann": 3, "bob": 3, "eve-end": 3}
    (entry,) = json.loads(run("show", path, "bob", "--json").stdout)
    assert (entry["number"], entry["cameras"]) == (2, ["dock"])
    assert "'zoe' is not in the gallery" in run("show", path, "zoe", fails=GalleryError)


def test_merge_rename_forget_prune_and_their_audit(run, path):
    run("merge", path, "ann", "--into", "bob")
    run("rename", path, "bob", "--to", "robert")
    assert listed(run, path) == {"robert": 6, "eve-end": 3}
    run("forget", path, "eve-end")
    assert traces(path.parent, "eve-end", features_of("eve-end")) == []
    run("prune", path, "--older-than", "1h")
    assert listed(run, path) == {"robert": 6}
    run("prune", path, "--older-than", "0s")
    assert listed(run, path) == {}
    lines = json.loads(run("audit", path, "--json").stdout)
    assert [(line["action"], line["number"], line["into"], line["exemplars"]) for line in lines] == [
        ("merge", 1, 2, 3),
        ("rename", 2, None, 6),
        ("forget", 3, None, 3),
        ("prune", 2, None, 6),
    ]
    assert "#3" in run("audit", path).stdout
    assert "no length of time" in run("prune", path, "--older-than", "soon", fails=GalleryError)


def test_export_import_verify(run, path, tmp_path):
    run("export", path, "-o", tmp_path / "saved")
    run("import", tmp_path / "new.db", tmp_path / "saved")
    assert listed(run, tmp_path / "new.db") == {"ann": 3, "bob": 3, "eve-end": 3}
    assert json.loads(run("verify", path, "--json").stdout) == {
        "ok": True, "exemplars": 9, "identities": 3, "problems": [], "traces": None,
    }  # fmt: skip
    content = bytearray(path.read_bytes())
    content[content.find(features_of("bob")[0].tobytes())] ^= 1
    path.write_bytes(content)
    result = CliRunner().invoke(build_app(), ["gallery", "verify", str(path), "--json"])
    assert result.exit_code == 1
    assert not json.loads(result.stdout)["ok"]
    run("export", path, "-o", tmp_path / "rescued")
    run("import", tmp_path / "rescued.db", tmp_path / "rescued")
    assert listed(run, tmp_path / "rescued.db") == {"ann": 3, "bob": 2, "eve-end": 3}


def test_people_of_a_folder_are_enrolled_found_and_embedded_again(run, drawn_people, small_onnx, tmp_path):
    from sdk import ReIdentifier
    from sdk.folder import read_folder, read_image

    path, new = tmp_path / "site.db", tmp_path / "new.db"
    run("enroll", path, "--data", drawn_people, "--model", small_onnx, "--store-crops")
    samples = read_folder(drawn_people)
    assert listed(run, path) == dict.fromkeys(sorted({s.identity for s in samples}), 8)
    run("enroll", path, samples[0].path, "--identity", "ann", "--camera", "dock", "--model", small_onnx)
    message = run("enroll", path, samples[0].path, "--identity", "ann", fails=GalleryError)
    assert "reid gallery reembed" in message, "another model"
    run("reembed", path, new)  # with the model that ships
    assert listed(run, new) == listed(run, path)
    reid = ReIdentifier(gallery=new)
    crop = read_image(samples[0].path)
    assert reid.match([crop])[0].distance < 1e-5
    assert {c.identity for c in reid.match([crop], top_k=2)[0].candidates} == {"ann", samples[0].identity}
    reid.gallery.close()
    assert "exists already" in run("reembed", path, new, fails=GalleryError)
    assert "say whom" in run("enroll", path, fails=GalleryError)


def test_crops_that_were_not_stored_cannot_be_embedded(run, path, tmp_path):
    message = run("reembed", path, tmp_path / "new.db", fails=GalleryError)
    assert "no crops are stored of 3 of its 3 identities" in message
    assert not (tmp_path / "new.db").exists()


def test_nothing_is_made_or_deleted_where_it_was_not_meant(run, path, drawn_people, small_onnx, tmp_path):
    typo = tmp_path / "tpyo.db"
    for command in (
        ("prune", typo, "--older-than", "1d"), ("forget", typo, "ann"), ("merge", typo, "ann", "--into", "bob"),
        ("rename", typo, "ann", "--to", "eve"), ("clock", typo), ("backup", typo, "-o", tmp_path / "copy.db"),
        ("accept", typo), ("restore", typo, tmp_path / "new.db"), ("encrypt", typo),
    ):  # fmt: skip
        run(*command, fails=GalleryError)
    run("import", tmp_path / "new.db", tmp_path / "nothing", fails=GalleryError)
    typo.touch()  # is no gallery, and does not become one by a command that fails
    for command in (("forget", typo, "ann"), ("import", typo, tmp_path / "nothing"), ("list", typo)):
        run(*command, fails=GalleryError)
        assert [(file.name, file.stat().st_size) for file in tmp_path.glob("tpyo*")] == [("tpyo.db", 0)]
    typo.unlink()
    missing = tmp_path / "missing.png"
    enroll = ("--identity", "eve", "--retention", "1s", "--store-crops", "--model", small_onnx)
    run("enroll", tmp_path / "new.db", *enroll, missing, fails=DataError)
    crop = next(drawn_people.rglob("*.png"))
    run("enroll", tmp_path / "new.db", "--identity", "eve", "--model", missing, crop, fails=ReIDError)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["site"], "a command that fails leaves nothing behind"
    before = path.read_bytes()
    run("enroll", path, *enroll, missing, fails=DataError)
    assert path.read_bytes() == before, "settings are kept with what they were given for, or not at all"
    for age in ("30", "1_0d", "-1d", "nand", "1e9d", "1 d", ""):
        assert "with its unit" in run("prune", path, "--older-than", age, fails=GalleryError)
        assert "with its unit" in run("enroll", path, crop, "--identity", "x", "--retention", age, fails=GalleryError)
    assert listed(run, path) == {"ann": 3, "bob": 3, "eve-end": 3}


def test_backup_restore_and_encryption(run, path, tmp_path, monkeypatch):
    copy = tmp_path / "copy.db"
    with Gallery(path):
        assert "copied 9 exemplars" in run("backup", path, "-o", copy).stderr
    run("forget", path, "bob")
    assert "--overwrite" in run("restore", copy, path, fails=GalleryError)
    done = run("restore", copy, path, "--overwrite").stderr
    assert "1 people had been forgotten since" in done
    assert listed(run, path) == {"ann": 3, "eve-end": 3}
    assert "ALIGNED_REID_GALLERY_KEY" in run("encrypt", path, fails=GalleryError)
    monkeypatch.setenv("ALIGNED_REID_GALLERY_KEY", "one")
    run("encrypt", path)
    assert traces(path.parent, "eve-end", features_of("eve-end")) == []
    assert "ALIGNED_REID_GALLERY_NEW_KEY" in run("rekey", path, fails=GalleryError)
    monkeypatch.setenv("ALIGNED_REID_GALLERY_NEW_KEY", "two")
    run("rekey", path)
    assert "not the passphrase" in run("list", path, fails=GalleryError)
    monkeypatch.setenv("ALIGNED_REID_GALLERY_KEY", "two")
    run("backup", path, "-o", copy)
    assert b"eve-end" not in copy.read_bytes(), "a copy is encrypted as the gallery is"
    run("restore", copy, path, "--overwrite")
    run("decrypt", path)
    assert "is not encrypted" in run("list", path, fails=GalleryError)
    monkeypatch.delenv("ALIGNED_REID_GALLERY_KEY")
    assert listed(run, path) == {"ann": 3, "eve-end": 3}


def test_what_is_done_while_traces_remain_has_an_exit_code_of_its_own(path, monkeypatch):
    monkeypatch.setattr("sdk.gallery.journal.SCRUB_WAIT", 0.05)
    reader = sqlite3.connect(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM identity").fetchone()
    app = build_app()
    done = CliRunner().invoke(app, ["gallery", "forget", str(path), "ann"])
    assert (done.exit_code, "done, but bytes of what was erased may stay" in " ".join(done.stderr.split())) == (3, True)
    checked = CliRunner().invoke(app, ["gallery", "verify", str(path)])
    assert (checked.exit_code, "may still be in site.db-wal" in " ".join(checked.stderr.split())) == (3, True)
    reader.close()
    with Gallery(path) as gallery:  # whoever opens it next sees to it
        assert gallery.traces is None
    assert traces(path.parent, "ann", features_of("ann")) == []
    assert CliRunner().invoke(app, ["gallery", "verify", str(path)]).exit_code == 0


def test_an_error_is_one_line(path):
    command = [sys.executable, "-c", "from sdk.cli import main; main()", "gallery"]
    result = subprocess.run([*command, "forget", path, "zoe"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == "error: identity 'zoe' is not in the gallery\n"
