"""What a chart that code draws says: its labels and values, read off Matplotlib's own objects where the code ran, in the jail.

Code may compute its values or name them first, so reading its text is not enough. Bars, lying bars, a line and a pie are read
off the first axes of the first figure; a pie's values are percent of its circle.
"""

from __future__ import annotations

import json
from typing import Any

from ..sandbox import Result, run_python

MARK = "drawn data: "
PROBE = f"""

def _drawn_data():
    import json
    import matplotlib.pyplot as plt
    from matplotlib.patches import Wedge
    figure = plt.figure(plt.get_fignums()[0])
    figure.canvas.draw()
    axes = figure.axes[0]
    wedges = [patch for patch in axes.patches if isinstance(patch, Wedge)]
    bars = [(bar, box.orientation) for box in axes.containers if hasattr(box, "orientation") for bar in box]
    if wedges:
        return [(wedge.get_label(), (wedge.theta2 - wedge.theta1) / 3.6) for wedge in wedges]
    if bars and bars[0][1] == "horizontal":
        axis, points = axes.yaxis, [(bar.get_y() + bar.get_height() / 2, bar.get_width()) for bar, _ in bars]
    elif bars:
        axis, points = axes.xaxis, [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar, _ in bars]
    else:
        points = axes.lines[0].get_xydata().tolist() if axes.lines else []
        axis = axes.xaxis
    named = [(place, label.get_text()) for place, label in zip(axis.get_majorticklocs(), axis.get_majorticklabels())]
    return [(min(named, key=lambda tick: abs(tick[0] - at))[1] if named else "", value) for at, value in points]

print({MARK!r} + __import__("json").dumps([(str(label), float(value)) for label, value in _drawn_data()]))
"""


def drawn_data(code: str, **limits: Any) -> tuple[Result, list[tuple[str, float]]]:
    """Runs code that draws a chart; returns the run, with its figure, and `[(label, value), ...]`, empty where there is no chart.

    code: Python, untrusted; limits: as for `run_python`. Nothing that the code does raises; TypeError if it is no str.

    >>> run, data = drawn_data("import matplotlib.pyplot as plt\\nx = [1, 2]\\nplt.bar(['a', 'b'], [3 * v for v in x])")
    >>> data, len(run.figures)
    ([('a', 3.0), ('b', 6.0)], 1)
    """
    if not isinstance(code, str):
        raise TypeError(f"code must be a str, got {type(code).__name__}")
    run = run_python(code + PROBE, collect_figures=True, **limits)
    lines = [line for line in run.stdout.splitlines() if line.startswith(MARK)] if run.ok else []
    try:  # the code may have printed the mark itself; the probe prints after it, unless the code failed
        read = [(str(label), float(value)) for label, value in json.loads(lines[-1][len(MARK) :])]
    except (IndexError, ValueError, TypeError):
        read = []
    return run, read
