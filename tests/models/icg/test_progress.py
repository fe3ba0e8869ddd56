"""What a watcher is told."""

from icg_tasks.models.icg.progress import Teller


def test_every_tenth_step_tells_its_figures_and_what_is_left() -> None:
    said, times = [], iter([100.0, 120.0, 124.0])
    teller = Teller(total=13, say=said.append, clock=lambda: next(times))
    teller.begin(5)
    for step in range(6, 14):
        teller.step(step, {"preference": 0.25})
    assert said == [
        "step 10 of 13: preference 0.250 (4.00 s a step, about 12 s left)",
        "step 13 of 13: preference 0.250 (3.00 s a step, about 0 s left)",
    ]
