"""The edition of the micro-world: code counts, comments and rewording do not."""

import ast
import shutil
from pathlib import Path

from tars.world import fingerprint
from tars.world.source import TEACHERS


def of(folder, monkeypatch):
    monkeypatch.setattr(fingerprint, "__file__", str(folder / "fingerprint.py"))
    return fingerprint._digest.__wrapped__(fingerprint.EDITION)


def test_code_counts_and_comments_do_not(tmp_path, monkeypatch):
    original = Path(fingerprint.__file__).parent
    copy = tmp_path / "world"
    shutil.copytree(original, copy)
    made = fingerprint.world_fingerprint()
    lexicon = copy / "lexicon.py"
    lexicon.write_text("# a remark\n" + lexicon.read_text())
    assert of(copy, monkeypatch) == made
    lexicon.write_text(lexicon.read_text() + "\nMORE = 1\n")
    assert of(copy, monkeypatch) != made


def test_later_teachers_leave_the_edition_alone_and_have_a_digest_of_their_own(tmp_path, monkeypatch):
    copy = tmp_path / "world"
    shutil.copytree(Path(fingerprint.__file__).parent, copy)
    edition, later = fingerprint.world_fingerprint(), fingerprint.teacher_digests("pivots")
    assert tuple(TEACHERS) == fingerprint.EDITION_TEACHERS
    assert all(fingerprint.teacher_digests(name) == {} for name in TEACHERS)
    steps = copy / "steps.py"
    steps.write_text(steps.read_text() + "\nMORE = 1\n")
    assert of(copy, monkeypatch) == edition
    assert fingerprint._digest.__wrapped__(fingerprint.LATER) != later["world teachers"]


def test_an_edition_is_made_of_nothing_else_in_the_world():
    folder = Path(fingerprint.__file__).parent
    used = {
        node.module.rpartition(".")[2]
        for name in fingerprint.EDITION
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tars.world.")
    }
    assert used and used <= set(fingerprint.EDITION)
