"""Photographs that come with npformer, free for any use: for examples, the course, and first tries.

=========== ======================================= ========= ======================================
name        what it shows                           size      terms
=========== ======================================= ========= ======================================
coffee      espresso, by Rachel Michetti            600×400   CC0, by the photographer
cat         Chelsea, by Stefan van der Walt         451×300   CC0, by the photographer
astronaut   Eileen Collins, by NASA                 512×512   public domain
rocket      the launch of DSCOVR, by SpaceX         640×427   public domain
=========== ======================================= ========= ======================================

They are sample photographs of scikit-image.

>>> import npformer
>>> image = npformer.data.photograph("coffee")
>>> image.size
(600, 400)
>>> npformer.classify(image, top=1)[0].label  # doctest: +SKIP
'espresso'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .files.shipped import shipped

if TYPE_CHECKING:
    from PIL import Image

_FILES = {
    "coffee": "coffee.png",
    "cat": "cat.png",
    "astronaut": "astronaut.png",
    "rocket": "rocket.jpg",
}

PHOTOGRAPHS = tuple(_FILES)
"""Their names."""


def photograph(name: str) -> Image.Image:
    """Return one of the photographs that come with npformer.

    Parameters
    ----------
    name : str
        One of `PHOTOGRAPHS`.

    Returns
    -------
    PIL.Image.Image
        A new image of mode RGB, which everything takes that takes photographs.

    Raises
    ------
    ValueError
        If no photograph has this name; the message lists all names.
    """
    if name not in _FILES:
        raise ValueError(f"no photograph is called {name!r}; there are {', '.join(PHOTOGRAPHS)}")
    from .images.open import open_image  # here, since Pillow takes longer than the rest

    return open_image(shipped(_FILES[name], "notebooks/images"))
