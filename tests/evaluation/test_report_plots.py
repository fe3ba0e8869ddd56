from xml.etree import ElementTree

from icg_tasks.evaluation.report_plots import Dot, bar, calibration_plot, curve_plot, interval_plot


def test_an_interval_plot_is_sound_markup_with_a_dot_per_arm() -> None:
    dots = [Dot(label="a <b>", mean=0.1, low=0.0, high=0.2), Dot(label="c", mean=0.4, low=0.3, high=0.5, strong=True)]
    root = ElementTree.fromstring(interval_plot(dots, title="x & y"))
    circles = [node for node in root.iter() if node.tag == "circle"]
    assert len(circles) == 2
    assert float(circles[0].get("cx", "0")) < float(circles[1].get("cx", "0"))
    assert "a <b>" in [node.text for node in root.iter() if node.tag == "text"]


def test_plots_of_nothing_or_of_one_value_are_sound() -> None:
    assert interval_plot([], title="") == curve_plot([], title="") == calibration_plot([], title="") == ""
    assert curve_plot([(0.0, 1.0)], title="one point") == ""
    for flat in (0.0, 5.0):
        ElementTree.fromstring(interval_plot([Dot(label="flat", mean=flat, low=flat, high=flat)], title="t"))
        ElementTree.fromstring(curve_plot([(0.0, flat), (1.0, flat)], title="t"))
    ElementTree.fromstring(calibration_plot([(0.0, 0.0)], title="t"))
    assert curve_plot([(0.0, 1.0), (1.0, float("nan")), (2.0, 3.0)], title="t").count("polyline") == 1
    assert "width:100.0%" in bar(7.0)
