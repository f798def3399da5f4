"""The explorer: a trained model in one HTML file that anybody can open, offline.

::

    text = explorer_html(vs.load("runs/main"))
    Path("explorer.html").write_text(text, encoding="utf-8")

The file holds the encoder and the decoder as ONNX programs, the runtime that runs them, the latents of the test images
and small pictures of them, and the page that puts these together, whose sources are in ``web/``.
"""

from vaescope.explorer.blocks import sizes as sizes
from vaescope.explorer.notebook import Explorer as Explorer
from vaescope.explorer.page import FILE as FILE
from vaescope.explorer.page import explorer_html as explorer_html
from vaescope.explorer.page import write_explorer as write_explorer
from vaescope.explorer.points import POINTS as POINTS

__all__ = ["FILE", "POINTS", "Explorer", "explorer_html", "sizes", "write_explorer"]
