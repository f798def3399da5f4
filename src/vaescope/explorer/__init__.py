"""The explorer: a trained model in one HTML file that anybody can open, offline.

::

    text = explorer_html(vs.load("runs/main"))
    Path("explorer.html").write_text(text, encoding="utf-8")

The file holds the encoder and the decoder as ONNX programs, the runtime that runs them, the latents of the test images
and small pictures of them, and the page that puts these together, whose sources are in ``web/``.
"""

from vaescope.explorer.page import explorer_html as explorer_html

__all__ = ["explorer_html"]
