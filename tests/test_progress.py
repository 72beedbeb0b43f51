"""What a stage says of itself, on a terminal and in a log."""

import os
import pty
import subprocess
import sys

from tars.progress import Display, Tick, silent


def test_a_log_gets_a_line_with_figures_and_the_time_left(capsys, monkeypatch):
    clock = iter([100.0, 104.0])
    monkeypatch.setattr("tars.progress.time.monotonic", lambda: next(clock))
    with Display(interval_s=1) as display:
        display(Tick("warm", 10, 50, figures={"loss": 1.23456, "kl": 0.00012}))
        display(Tick("warm", 20, 50))  # 10 steps in 4 s, 30 to go
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "warm: 10/50 steps, time left unknown  loss 1.23  kl 0.00012\nwarm: 20/50 steps, 12 s left\n"


def test_a_log_is_not_flooded_and_each_stage_has_its_own_clock(capsys, monkeypatch):
    clock = iter([0.0, 3.0, 4.0, 9.9, 10.0, 11.0])
    monkeypatch.setattr("tars.progress.time.monotonic", lambda: next(clock))
    display = Display(interval_s=10)
    for stage, done in [("a", 0), ("a", 1), ("b", 0), ("a", 2), ("a", 3), ("b", 1)]:
        display(Tick(stage, done, 9))
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" steps")[0] for line in lines] == ["a: 0/9", "b: 0/9", "a: 3/9"]


def test_what_is_said_is_said_verbatim(capsys):
    text = "[bold]not markup[/bold] " + "long " * 60
    Display().say(text)
    assert capsys.readouterr().err == text + "\n"


def test_nobody_needs_to_listen():
    assert silent(Tick("a", 1, 2)) is None


SHOW = """
from tars.progress import Display, Tick
with Display() as display:
    for done in range(5):
        display(Tick("warm", done, 4, figures={"loss": 0.5}))
    display.say("warm done")
"""


def test_a_terminal_gets_a_bar_that_goes_away():
    ours, theirs = pty.openpty()
    try:
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160"}
        subprocess.run([sys.executable, "-c", SHOW], stderr=theirs, env=environment, check=True, timeout=30)
        shown = os.read(ours, 100_000).decode()
    finally:
        os.close(theirs)
        os.close(ours)
    assert "warm done" in shown
    assert "\x1b[2K" in shown  # the bar's line is cleared
