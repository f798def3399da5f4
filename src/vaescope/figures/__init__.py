"""Pictures of a variational autoencoder: numpy arrays in, PNG and GIF files out.

One module a kind of picture, and one hand for all of them (:mod:`vaescope.figures.style`): the same class has the same
colour everywhere, images are enlarged by whole factors and never smoothed, and every picture says what it shows.
Nothing here knows about models or training. Matplotlib is imported when the first picture is drawn, so that importing
this package is cheap, and no picture needs a display.
"""

from vaescope.figures import activity, animation, curves, diagram, scatter, style, tiles

__all__ = ["activity", "animation", "curves", "diagram", "scatter", "style", "tiles"]
