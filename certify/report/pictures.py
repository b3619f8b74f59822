"""Witnesses that are images, as pictures beside the middle of their region."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass

import numpy as np

from certify.batch.origin import Box

# Larger pictures are scaled down to this many pixels on the longer side.
LONGEST = 64
# Below this many bytes a picture is kept exactly, above it is compressed with loss.
EXACT_BYTES = 2048


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI, with its size in pixels and what it shows."""

    uri: str
    width: int
    height: int
    caption: str


def pictures(box: Box, witness: np.ndarray) -> list[Picture]:
    """The middle of the region, the witness [flat elements] and their difference; none where that is no image."""
    layout = _layout(box.shape)
    if layout is None:
        return []
    axes, guessed = layout
    images = {"the witness": _pixels(witness, axes)}
    center = box.center
    if center is not None:
        images = {"the middle of the region": _pixels(center, axes), **images}
    low, high = _scale(np.concatenate([image.ravel() for image in images.values()]))
    found = [_picture((image - low) / (high - low), name) for name, image in images.items()]
    if center is not None:
        change = _pixels(witness - center, axes)
        most = float(np.abs(change).max())
        if most > 0.0:
            found.append(_picture(0.5 + change / (2.0 * most), f"their difference (at most {most:.3g})"))
    if guessed:
        size = f"{axes[1]} × {axes[2]}" + (" × 3" if axes[0] == 3 else "")
        found[0] = Picture(*_but_caption(found[0]), f"{found[0].caption} (drawn as {size}: a guess)")
    return found


def _but_caption(picture: Picture) -> tuple[str, int, int]:
    return picture.uri, picture.width, picture.height


Axes = tuple[int, int, int, bool]  # channels, height, width, whether the channels come last


def _layout(shape: tuple[int, ...]) -> tuple[Axes, bool] | None:
    """How a shape is read as an image, and whether that is a guess; None if it is none.

    An image has 1 or 3 channels, first or last; a flat vector may be a square of at least 8 × 8.
    """
    axes = list(shape)
    while len(axes) > 3 and axes[0] == 1:
        del axes[0]
    if len(axes) == 3 and axes[0] in (1, 3) and min(axes[1:]) >= 5:
        return (axes[0], axes[1], axes[2], False), False
    if len(axes) == 3 and axes[2] in (1, 3) and min(axes[:2]) >= 5:
        return (axes[2], axes[0], axes[1], True), False
    if len(axes) == 2 and min(axes) >= 5:
        return (1, axes[0], axes[1], False), False
    size = math.prod(axes)
    for channels in (1, 3):
        side = math.isqrt(size // channels)
        if max(axes, default=0) == size and side >= 8 and channels * side * side == size:
            return (channels, side, side, False), True
    return None


def _pixels(values: np.ndarray, axes: Axes) -> np.ndarray:
    """The values as [height, width, channels]."""
    channels, height, width, last = axes
    if last:
        return values.reshape(height, width, channels)
    return values.reshape(channels, height, width).transpose(1, 2, 0)


def _scale(values: np.ndarray) -> tuple[float, float]:
    """What is black and what is white: the usual ranges of pixels, else the smallest and the largest value."""
    low, high = float(values.min()), float(values.max())
    if low >= -0.01 and high <= 255.5:
        return 0.0, 1.0 if high <= 1.01 else 255.0
    return low, max(high, low + 1e-12)


def _picture(image: np.ndarray, caption: str) -> Picture:
    """A picture of values in [0, 1], [height, width, channels]."""
    from PIL import Image

    pixels = np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
    drawn = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if max(drawn.size) > LONGEST:
        caption += f", scaled down from {drawn.width} × {drawn.height}"
        drawn.thumbnail((LONGEST, LONGEST), Image.Resampling.BOX)
    data = io.BytesIO()
    drawn.save(data, "WEBP", lossless=True)
    if data.tell() > EXACT_BYTES:
        data = io.BytesIO()
        drawn.save(data, "WEBP", quality=80)
    uri = "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()
    return Picture(uri, drawn.width, drawn.height, caption)
