"""Progress: a line per tenth where there is no terminal, a bar that redraws itself where there is one."""

from icg_tasks.intake.progress import Progress


def test_a_line_per_tenth_and_the_seconds_that_are_left():
    said, now = [], [0.0]
    progress = Progress(what="covers", total=40, say=said.append, terminal=False, clock=lambda: now[0])
    for step in range(40):
        now[0] = step + 1.0
        progress.add(1, f"{step + 1} of 40")
    progress.end()
    assert len(said) == 10
    assert said[4] == "covers [############............]  50%, 20 of 40, 20 s left"
    assert said[-1].endswith("100%, 40 of 40")


def test_a_terminal_gets_a_bar_that_redraws_itself(capsys):
    said, now = [], [0.0]
    progress = Progress(what="rows", total=4, say=said.append, terminal=True, clock=lambda: now[0])
    for step in range(4):
        now[0] = step * 1.0
        progress.add(1)
    progress.end()
    assert capsys.readouterr().err.count("\r") == 5
    assert said == [progress.line()]


def test_nothing_to_do_is_no_division():
    assert "0%" in Progress(what="x", total=0, say=print, terminal=False).line()
