"""How far fast decoding moves pixels, scores and answers.

    python tests/compare_decoding.py [--model tiny] [--labeled DIR]

Photographs of many sizes are made from four free ones (see compare_folders.py). DIR has labeled
photographs, one folder for each class, as ``npformer evaluate`` takes them: they are enlarged
eightfold, since small ones are decoded in full anyway. Nothing here is random but the seeded grain.
"""

from __future__ import annotations

import argparse
import io

import numpy as np
from compare_folders import FREE, make_photograph
from PIL import Image

import npformer
from npformer.learn.class_folders import find_photographs

SIDES = (300, 500, 800, 1200, 1600, 2400, 3200, 4000, 6000)
QUALITIES = (75, 90)


def encoded(picture: Image.Image, quality: int, **options: object) -> bytes:
    """Return a JPEG."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, **options)
    return file.getvalue()


class Moves:
    """What fast decoding changed in some photographs."""

    def __init__(self, model: npformer.Classifier) -> None:
        self.model = model
        self.std = np.array(model.processor.image_std).reshape(3, 1, 1)
        self.mean: list[float] = []
        self.most: list[float] = []
        self.score: list[float] = []
        self.changed: list[bool] = []

    def look(self, data: bytes) -> tuple[int, int]:
        """Compare both ways; return both first answers."""
        exact, fast = (self.model.preprocess(data, decode) for decode in ("exact", "fast"))
        pixels = np.abs(exact - fast) * self.std * 255
        ((a,), (b,)) = (self.model.predict(x[None]) for x in (exact, fast))
        self.mean.append(float(pixels.mean()))
        self.most.append(float(pixels.max()))
        self.score.append(abs(a[0].score - next((p.score for p in b if p.index == a[0].index), 0)))
        self.changed.append(a[0].index != b[0].index)
        return a[0].index, b[0].index

    def __str__(self) -> str:
        return (
            f"{len(self.mean):5} | {np.mean(self.mean):5.2f} | {np.max(self.most):5.0f} | "
            f"{np.mean(self.score):.3f} | {np.max(self.score):.3f} | {np.mean(self.changed):.1%}"
        )


HEAD = "photographs | mean | largest | score, mean | largest | first answers that change"


def by_size(model: npformer.Classifier) -> None:
    """Print a row for each width."""
    print(f"pixels wide | {HEAD}")
    for side in SIDES:
        moves = Moves(model)
        for i, source in enumerate(FREE):
            picture = make_photograph(source, side, i)
            for quality in QUALITIES:
                moves.look(encoded(picture, quality))
        print(f"{side:11} | {moves}")


def by_label(model: npformer.Classifier, folder: str) -> None:
    """Print how many labeled photographs are named rightly either way."""
    photos = find_photographs(folder, model.labels)
    moves, right = Moves(model), np.zeros(2, int)
    for path, label in zip(photos.paths, photos.labels, strict=True):
        picture = npformer.open_image(path)
        large = picture.resize((8 * picture.width, 8 * picture.height), Image.Resampling.BICUBIC)
        right += [answer == label for answer in moves.look(encoded(large, 90))]
    print(f"labeled    | {HEAD}\n{'':11} | {moves}")
    n = len(photos.paths)
    exact, fast = right / n
    noise = np.sqrt(2 * exact * (1 - exact) / n)
    print(f"top-1: exact {exact:.2%}, fast {fast:.2%} of {n}; by chance ±{noise:.2%}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--labeled", metavar="DIR")
    words = parser.parse_args()
    model = npformer.load(words.model)
    by_size(model)
    if words.labeled:
        by_label(model, words.labeled)


if __name__ == "__main__":
    main()
