"""The explorer as what a notebook shows."""

import base64
import html
from dataclasses import dataclass
from pathlib import Path

from vaescope.explorer.page import FILE, explorer_html
from vaescope.explorer.points import POINTS
from vaescope.explorer.stills import NOTEBOOK, STILL, smaller
from vaescope.facts import name_of
from vaescope.files import atomic_file
from vaescope.run import Run

HEIGHT = 880
"""How high it is in a notebook, in pixels: the map and the panel beside it."""


@dataclass(frozen=True, repr=False)
class Explorer:
    """The explorer of a run. A notebook shows it in a frame of its own, which can reach neither notebook nor network.

    Args:
        page: The text of the page.
        name: What the run is called.
        thumbnail: A PNG file that stands for it where frames are left out, or nothing.
    """

    page: str
    name: str = "run"
    thumbnail: bytes = b""

    @staticmethod
    def of(run: Run, points: int = POINTS, images: bool = True) -> "Explorer":
        """The explorer of a run, see :func:`vaescope.explorer.explorer_html`."""
        picture = run.folder / "figures" / STILL[0]
        thumbnail = smaller(picture, NOTEBOOK, "PNG", optimize=True) if picture.is_file() else b""
        return Explorer(explorer_html(run, points, images), name_of(run), thumbnail)

    def save(self, path: str | Path = FILE) -> Path:
        """Writes the page, which needs nothing beside it.

        Args:
            path: The file.
        """
        out = Path(path).expanduser()
        with atomic_file(out) as temporary:
            temporary.write_text(self.page, encoding="utf-8", newline="\n")
        return out

    def __repr__(self) -> str:
        size = len(self.page.encode()) / 1e6
        return f"Explorer of {self.name}: a page of {size:.1f} MB, which a notebook shows and save() writes"

    def _repr_html_(self) -> str:
        """The page in a frame that lies over the thumbnail, so that this is seen where the frame is not."""
        picture, name = base64.b64encode(self.thumbnail).decode(), html.escape(self.name)
        below = f'<img alt="the latent space of {name}" src="data:image/png;base64,{picture}">' if picture else ""
        return (
            f'<div style="position:relative;height:{HEIGHT}px;overflow:hidden">{below}'
            f'<iframe title="explorer of {name}" sandbox="allow-scripts allow-downloads" '
            'style="position:absolute;inset:0;width:100%;height:100%;border:0" '
            f'srcdoc="{html.escape(self.page)}"></iframe></div>'
        )
