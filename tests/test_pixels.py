"""Every kind of picture becomes the pixels that the rules say, and whatever cannot be read is one line."""

import io
import logging
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from data_helpers import refused
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from vaescope.data.idx import Array
from vaescope.data.pixels import MOST_PIXELS, Fit, Form, decode, look
from vaescope.data.quiet import quiet
from vaescope.errors import UsageError

FITS: tuple[Fit, ...] = ("crop", "pad", "stretch")


def noise(*shape: int, bits: int = 8, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 1 << bits, shape, dtype=np.uint8 if bits == 8 else np.uint16)


def saved(picture: Image.Image, format: str = "PNG", **options: object) -> bytes:
    """The bytes of a picture file."""
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(size: tuple[int, int], depth: int, colour: int, rows: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """A PNG written without Pillow: rows are whole bytes, one filter byte each is put before them."""
    height, width = size
    step = len(rows) // height if rows else 0
    lines = b"".join(b"\0" + rows[i : i + step] for i in range(0, len(rows), step or 1))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(lines))
    return b"\x89PNG\r\n\x1a\n" + head + before + pixels + after + chunk(b"IEND", b"")


def natural(content: bytes | Path) -> Array:
    """A picture in its own size, channels and depth, with shape (H, W, C)."""
    seen = look(content, "it")
    pixels = decode(content, Form(seen.height, seen.width, seen.channels, seen.bits, "exact"), "it")
    assert pixels.flags.c_contiguous
    assert pixels.dtype == (np.uint8 if seen.bits == 8 else np.uint16)
    return pixels.transpose(1, 2, 0)


def luma(rgb: Array) -> Array:
    return rgb.astype(float) @ [0.299, 0.587, 0.114]


def on_white(colours: Array, alpha: Array, top: int = 255) -> Array:
    share = alpha.astype(float) / top
    return colours * share + top * (1 - share)


CONVERTED = {
    "CMYK": lambda v: (255 - v[..., :3]) * (255 - v[..., 3:]) / 255,
    "YCbCr": lambda v: v[..., :1] + (v[..., 1:] - 128.0) @ np.array([[0, -0.344136, 1.772], [1.402, -0.714136, 0]]),
    "RGBX": lambda v: v[..., :3],
}
"""Other colours by their textbook formulas."""


class TestModes:
    def kinds() -> dict[str, tuple[bytes, Array, str]]:  # type: ignore[misc]
        """Files, the pixels in them and what they are called."""
        grey, two, rgb, rgba = noise(5, 7), noise(5, 7, 2), noise(5, 7, 3), noise(5, 7, 4)
        bits, deep = noise(5, 7) > 127, noise(5, 7, bits=16)
        number = grey % 4
        palette = noise(4, 3, seed=1)
        indexed = Image.fromarray(number)
        indexed.putpalette(palette.tobytes())
        alphas = np.array([0, 77, 255, 255], np.uint8)
        ends = {0: 0, 1: 255}
        kinds = {
            "1 PNG": (saved(Image.fromarray(bits)), bits * np.uint8(255), "black and white"),
            "1 TIFF": (saved(Image.fromarray(bits), "TIFF"), bits * np.uint8(255), "black and white"),
            "LA PNG": (saved(Image.fromarray(two, "LA")), two, "grey with alpha"),
            "P PNG": (saved(indexed), palette[number], "palette"),
            "P GIF": (saved(indexed, "GIF"), palette[number], "palette"),
            "I;16 PNG": (saved(Image.fromarray(deep)), deep, "16-bit grey"),
            "I;16 TIFF": (saved(Image.fromarray(deep), "TIFF"), deep, "16-bit grey"),
            "I;16B TIFF": (saved(Image.fromarray(deep.astype(">u2")), "TIFF"), deep, "16-bit grey"),
            "I TIFF": (saved(Image.fromarray(deep.astype(np.int32)), "TIFF"), deep, "16-bit grey"),
            "16-bit PGM": (b"P5 7 5 65535\n" + deep.astype(">u2").tobytes(), deep, "16-bit grey"),
        }
        for format in ("PNG", "BMP", "TIFF", "PPM", "JPEG2000"):
            kinds[f"L {format}"] = saved(Image.fromarray(grey), format), grey, "grey"
            kinds[f"RGB {format}"] = saved(Image.fromarray(rgb), format), rgb, "colour"
        for format, options in {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True, "exact": True}, "TGA": {}}.items():
            kinds[f"RGBA {format}"] = saved(Image.fromarray(rgba), format, **options), rgba, "colour with alpha"
        through = np.concatenate([palette, alphas[:, None]], -1)[number]
        kinds["P with alphas"] = saved(indexed, transparency=alphas.tobytes()), through, "palette with transparency"
        for format in ("PNG", "GIF"):
            holed = np.concatenate([palette, np.array([[255], [255], [0], [255]], np.uint8)], -1)[number]
            kinds[f"P with a hole {format}"] = (
                saved(indexed, format, transparency=2),
                holed,
                "palette with transparency",
            )
        key = int(grey[2, 3])
        holed = np.stack([grey, np.where(grey == key, 0, 255)], -1).astype(np.uint8)
        kinds["L with a key"] = saved(Image.fromarray(grey), transparency=key), holed, "grey with transparency"
        deeply = np.stack([deep, np.where(deep == deep[1, 1], 0, 65535)], -1).astype(np.uint16)
        raw = png((5, 7), 16, 0, deep.astype(">u2").tobytes(), chunk(b"tRNS", struct.pack(">H", deep[1, 1])))
        kinds["I;16 with a key"] = raw, deeply, "16-bit grey with transparency"
        colour = tuple(int(value) for value in rgb[0, 0])
        holed = np.concatenate([rgb, np.where((rgb == colour).all(-1), 0, 255)[..., None]], -1).astype(np.uint8)
        kinds["RGB with a key"] = saved(Image.fromarray(rgb), transparency=colour), holed, "colour with transparency"
        raw = png((1, 4), 2, 0, b"\x1b", chunk(b"tRNS", b"\0\2"))  # 00 01 10 11, of which 10 is transparent
        kinds["2 bits with a key"] = (
            raw, np.array([[[0, 255], [85, 255], [170, 0], [255, 255]]], np.uint8), "grey with transparency",
        )  # fmt: skip
        raw = png((1, 2), 4, 0, b"\x3f", chunk(b"tRNS", b"\0\3"))
        kinds["4 bits with a key"] = raw, np.array([[[51, 0], [255, 255]]], np.uint8), "grey with transparency"
        raw = png((1, 8), 1, 0, b"\x0f", chunk(b"tRNS", b"\0\1"))
        one = np.array([[(ends[i > 3], ends[i < 4]) for i in range(8)]], np.uint8)
        kinds["1 bit with a key"] = raw, one, "black and white with transparency"
        for code, channels, words in ((2, 3, "colour"), (6, 4, "colour with alpha"), (4, 2, "grey with alpha")):
            deep = noise(5, 7, channels, bits=16)
            raw = png((5, 7), 16, code, deep.astype(">u2").tobytes())
            kinds[f"16 bits, {channels} channels"] = (
                raw,
                (deep >> 8).astype(np.uint8),
                f"16-bit {words}, read with 8 bits",
            )
        deep = noise(5, 7, 3, bits=16)
        raw = png((5, 7), 16, 2, deep.astype(">u2").tobytes(), chunk(b"tRNS", deep[4, 6].astype(">u2").tobytes()))
        alpha = np.where((deep == deep[4, 6]).all(-1), 0, 255)[..., None]
        holed = np.concatenate([deep >> 8, alpha], -1).astype(np.uint8)
        kinds["16-bit RGB with a key"] = raw, holed, "16-bit colour with transparency, read with 8 bits"
        return kinds

    KINDS = kinds()

    @pytest.mark.parametrize("kind", KINDS)
    def test_files(self, kind: str) -> None:
        content, pixels, words = self.KINDS[kind]
        pixels = pixels.reshape(*pixels.shape[:2], -1)
        seen = look(content, kind)
        assert (seen.height, seen.width, seen.channels) == pixels.shape
        assert (seen.bits, seen.mode) == (8 * pixels.itemsize, words)
        if kind == "L JPEG2000" or kind == "RGB JPEG2000":
            assert np.abs(natural(content).astype(int) - pixels).max() < 3
        else:
            assert np.array_equal(natural(content), pixels)

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_kind_becomes_every_form(self, kind: str) -> None:
        """Transparency over white or kept, grey by luma, colour by repetition, depth by 257."""
        content, _, _ = self.KINDS[kind]
        pixels = natural(content)
        top = np.iinfo(pixels.dtype).max
        opaque = pixels.shape[2] in (1, 3)
        alpha = np.full(pixels.shape[:2], top) if opaque else pixels[..., -1]
        colours = pixels if opaque else pixels[..., :-1]
        for channels in (1, 2, 3, 4):
            shown = on_white(colours, alpha[..., None], top) if channels in (1, 3) else colours
            if channels < 3 and shown.shape[2] == 3:
                shown = luma(shown)[..., None]
            expected = np.concatenate([shown] * (3 if channels > 2 and shown.shape[2] == 1 else 1), -1)
            if channels in (2, 4):
                expected = np.concatenate([expected, alpha[..., None]], -1)
            for bits in (8, 16):
                found = decode(content, Form(*pixels.shape[:2], channels, bits, "exact"), kind)
                assert found.dtype == (np.uint8 if bits == 8 else np.uint16)
                scale = ((1 << bits) - 1) / top
                slack = 1.01 * max(1, scale) if shown.dtype == float else 0.5
                assert np.abs(found.transpose(1, 2, 0) - expected * scale).max() <= slack

    @pytest.mark.parametrize("mode", CONVERTED)
    def test_other_colours(self, mode: str) -> None:
        values = noise(6, 6, 3 if mode == "YCbCr" else 4)
        content = saved(Image.fromarray(values, mode), "TIFF")
        assert look(content, mode).mode == {"RGBX": "colour"}.get(mode, mode)
        expected = np.clip(CONVERTED[mode](values.astype(float)), 0, 255)
        assert np.abs(natural(content) - expected).max() <= 1.5

    def test_neutral_colours_of_lab_are_grey(self) -> None:
        values = np.array([[(0, 0, 0), (255, 0, 0), (128, 0, 0)]], np.uint8)  # a and b are signed
        content = saved(Image.fromarray(values, "LAB"), "TIFF")
        black, white, grey = natural(content)[0].astype(int)
        assert look(content, "it").channels == 3
        assert black.max() <= 1
        assert white.min() >= 254
        assert np.ptp(grey) <= 1
        assert 110 < grey[0] < 130

    def test_modes_that_no_file_has(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of Pillow's modes some come only from plugins."""

        def one(mode: str, *values: int) -> tuple[int, ...]:
            bands = tuple(values) if len(values) > 1 else values[0]
            monkeypatch.setattr(Image, "open", lambda file: Image.new(mode, (1, 1), bands))
            return tuple(int(value) for value in natural(b"it")[0, 0])

        assert one("HSV", 0, 255, 255) == (255, 0, 0)
        assert one("HSV", 85, 255, 128) == (0, 128, 0)
        assert one("La", 20, 51) == (100, 51)
        assert one("RGBa", 20, 0, 51, 51) == (100, 0, 255, 51)
        assert one("I;16B", 4711) == (4711,)
        assert one("I;16L", 4711) == (4711,)
        assert one("PA", 0, 51)[3] == 51
        monkeypatch.setattr(Image, "open", lambda file: Image.new("BGR;15", (1, 1)) if 0 else Image.new("F", (1, 1)))
        assert "floats" in refused(look, b"it", "it")

    def test_colour_to_grey_is_pillows_own(self) -> None:
        rgb = noise(64, 64, 3)
        assert np.array_equal(decode(rgb, Form(64, 64, 1), "it")[0], np.asarray(Image.fromarray(rgb).convert("L")))

    def test_deep_colour_to_grey(self) -> None:
        rgb = noise(32, 32, 3, bits=16)
        assert np.abs(decode(rgb, Form(32, 32, 1, 16), "it")[0] - luma(rgb)).max() < 1.5  # the weights have 16 bits

    def test_depths(self) -> None:
        every = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
        assert np.array_equal(decode(every, Form(256, 256, 1), "it")[0], np.rint(every[..., 0] / 257))
        shallow = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
        assert np.array_equal(decode(shallow, Form(16, 16, 1, 16), "it")[0], shallow[..., 0] * 257.0)

    def test_white_under_transparent(self) -> None:
        clear = noise(3, 3, 4)
        clear[..., 3] = 0
        assert (decode(clear, Form(3, 3, 3), "it") == 255).all()
        assert (decode(clear, Form(3, 3, 1, 16), "it") == 65535).all()

    def test_animations_give_their_first_frame(self) -> None:
        frames = [Image.fromarray(noise(6, 6, seed=seed)) for seed in range(3)]
        for format, options in {"GIF": {}, "PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}.items():
            content = saved(frames[0], format, save_all=True, append_images=frames[1:], **options)
            assert np.array_equal(decode(content, Form(6, 6, 1), format)[0], np.asarray(frames[0]))

        content = saved(Image.open(io.BytesIO(WHOLE["JPEG"])), "MPO", save_all=True, append_images=frames, quality=95)
        assert decode(content, Form(5, 8, 3, fit="stretch"), "MPO").shape == (3, 5, 8)
        assert (look(content, "MPO").height, look(content, "MPO").width) == (20, 30)

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_look_decodes_nothing(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        content, pixels, _ = self.KINDS[kind]
        monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
        assert look(content, kind).width == pixels.shape[1]

    def test_profiles_are_ignored(self) -> None:
        rgb = noise(5, 5, 3)
        assert np.array_equal(natural(saved(Image.fromarray(rgb), icc_profile=b"not one")), rgb)

    def test_paths_and_bytes_are_the_same(self, tmp_path: Path) -> None:
        path = tmp_path / "ein Bild, größer.png"
        path.write_bytes(saved(Image.fromarray(noise(5, 5, 3))))
        assert look(path, "it") == look(path.read_bytes(), "it")
        assert np.array_equal(natural(path), noise(5, 5, 3))

    def test_arrays_are_taken_as_they_are(self) -> None:
        for channels in (1, 2, 3, 4):
            for bits in (8, 16):
                pixels = noise(4, 6, channels, bits=bits)
                seen = look(pixels, "it")
                assert (seen.height, seen.width, seen.channels, seen.bits) == (4, 6, channels, bits)
                pixels.flags.writeable = False
                found = decode(pixels, Form(4, 6, channels, bits, "exact"), "it")
                assert np.array_equal(found, pixels.transpose(2, 0, 1))
                assert found.flags.writeable
                assert not np.shares_memory(found, pixels)


STORED = [[10, 20, 30], [40, 50, 60]]
SHOWN = {
    1: [[10, 20, 30], [40, 50, 60]],
    2: [[30, 20, 10], [60, 50, 40]],
    3: [[60, 50, 40], [30, 20, 10]],
    4: [[40, 50, 60], [10, 20, 30]],
    5: [[10, 40], [20, 50], [30, 60]],
    6: [[40, 10], [50, 20], [60, 30]],
    7: [[60, 30], [50, 20], [40, 10]],
    8: [[30, 60], [20, 50], [10, 40]],
}
"""By the EXIF standard: where the first row and the first column of what is stored are to be shown."""


def tiff_header(orientation: int) -> bytes:
    """The smallest EXIF block: one tag."""
    return b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)


class TestOrientation:
    @pytest.mark.parametrize("orientation", SHOWN)
    @pytest.mark.parametrize("bits", [8, 16])
    def test_exact(self, orientation: int, bits: int) -> None:
        stored = np.array(STORED, np.uint8 if bits == 8 else np.uint16) * (1 if bits == 8 else 257)
        shown = np.array(SHOWN[orientation]) * (1 if bits == 8 else 257)
        exif = tiff_header(orientation)
        raw = stored.astype(f">u{bits // 8}").tobytes()
        files = [
            png((2, 3), bits, 0, raw, before=chunk(b"eXIf", exif)),
            png((2, 3), bits, 0, raw, after=chunk(b"eXIf", exif)),
            saved(Image.fromarray(stored), "TIFF", tiffinfo={0x0112: orientation}),
            saved(Image.fromarray(stored), "TIFF", tiffinfo={0x0112: orientation}, compression="tiff_lzw"),
        ]
        if bits == 8:
            files.append(saved(Image.fromarray(stored), "WEBP", exif=exif, lossless=True))
        for content in files:
            seen = look(content, "it")
            assert (seen.height, seen.width) == shown.shape
            assert np.array_equal(decode(content, Form(*shown.shape, 1, bits, "exact"), "it")[0], shown)

    @pytest.mark.parametrize("orientation", SHOWN)
    def test_photographs(self, orientation: int) -> None:
        """Large JPEGs are decoded smaller, and are turned all the same."""
        blocks = np.array(STORED, np.uint8).repeat(320, 0).repeat(320, 1)
        content = saved(Image.fromarray(blocks), "JPEG", exif=b"Exif\0\0" + tiff_header(orientation))
        shown = np.array(SHOWN[orientation])
        seen = look(content, "it")
        assert (seen.height, seen.width) == tuple(320 * size for size in shown.shape)
        height, width = (40 * size for size in shown.shape)
        for fit in FITS:
            small = decode(content, Form(height, width, 1, fit=fit), "it")[0]
            assert np.abs(small[20::40, 20::40].astype(int) - shown).max() <= 1

    def test_unreadable_exif_does_not_turn(self) -> None:
        rgb = noise(8, 8, 3)
        for exif in (b"", b"\0", b"Exif\0\0nonsense", tiff_header(9), tiff_header(6)[:-7]):
            assert np.array_equal(natural(png((8, 8), 8, 2, rgb.tobytes(), before=chunk(b"eXIf", exif))), rgb)


def spread(disc: Array) -> tuple[float, float, float, float]:
    """The middle (row, column) of what is bright and its standard deviations in both directions."""
    weight = disc / disc.sum()
    rows, columns = np.indices(disc.shape) + 0.5
    middle = (weight * rows).sum(), (weight * columns).sum()
    deviations = (weight * (rows - middle[0]) ** 2).sum() ** 0.5, (weight * (columns - middle[1]) ** 2).sum() ** 0.5
    return (*middle, *deviations)


class TestSizes:
    @pytest.mark.parametrize("form", [(64, 64), (40, 90), (90, 40), (300, 300), (33, 200)])
    @pytest.mark.parametrize("size", [(120, 200), (200, 120), (150, 150), (101, 64)])
    @pytest.mark.parametrize("fit", ["crop", "pad"])
    def test_circles_stay_circles_in_the_middle(self, size: tuple[int, int], form: tuple[int, int], fit: Fit) -> None:
        scale = (max if fit == "crop" else min)(form[0] / size[0], form[1] / size[1])
        radius = 0.45 * min(*size, *(side / scale for side in form))  # it is not cut
        rows, columns = np.indices(size) + 0.5
        away = np.hypot(rows - size[0] / 2, columns - size[1] / 2)
        disc = (200 * np.clip(radius + 0.5 - away, 0, 1)).astype(np.uint8)
        found = decode(disc[..., None], Form(*form, 1, fit=fit), "it")[0].astype(float)
        row, column, down, across = spread(np.where(found > 30, found, 0))
        assert abs(row - form[0] / 2) <= 0.6  # half a pixel where the rest cannot be halved
        assert abs(column - form[1] / 2) <= 0.6
        assert down == pytest.approx(across, rel=0.04)
        assert down == pytest.approx(scale * radius / 2, rel=0.04)  # the deviation of a disc

    @pytest.mark.parametrize("form", [(16, 16), (16, 60), (50, 20), (200, 200)])
    @pytest.mark.parametrize("channels", [1, 2, 3, 4])
    @pytest.mark.parametrize("bits", [8, 16])
    def test_ramps_are_sampled_where_geometry_says(self, form: tuple[int, int], channels: int, bits: int) -> None:
        height, width = 60, 100
        rows, columns = np.indices((height, width)) + 0.5
        plane = (rows + columns) * (1 if bits == 8 else 257)
        pixels = np.repeat(plane[..., None], channels, -1).astype(np.uint8 if bits == 8 else np.uint16)
        if channels in (2, 4):
            pixels[..., -1] = 128
        scale = max(form[0] / height, form[1] / width)
        y, x = (np.indices(form) + 0.5 - np.array(form)[:, None, None] / 2) / scale
        found = decode(pixels, Form(*form, channels, bits), "it")[0]
        off = np.abs(found / (1 if bits == 8 else 257) - (y + height / 2 + x + width / 2))
        inner = off[3:-3, 3:-3] if scale < 1 else off[12:-12, 12:-12]  # at the border there is nothing beyond
        assert inner.max() < 1.1

    @pytest.mark.parametrize("fit", [*FITS, "exact"])
    @pytest.mark.parametrize("bits", [8, 16])
    @pytest.mark.parametrize("channels", [1, 2, 3, 4])
    def test_the_right_size_is_left_alone(self, channels: int, bits: int, fit: Fit) -> None:
        pixels = noise(9, 11, channels, bits=bits)
        assert np.array_equal(decode(pixels, Form(9, 11, channels, bits, fit), "it"), pixels.transpose(2, 0, 1))

    @pytest.mark.parametrize("channels", [1, 2, 3, 4])
    def test_what_is_too_large_in_one_direction_is_only_cut(self, channels: int) -> None:
        pixels = noise(9, 16, channels)
        assert np.array_equal(decode(pixels, Form(9, 9, channels), "it"), pixels[:, 3:12].transpose(2, 0, 1))
        assert np.array_equal(decode(pixels, Form(4, 16, channels), "it"), pixels[2:6].transpose(2, 0, 1))
        padded = decode(pixels, Form(12, 16, channels, fit="pad"), "it")
        assert np.array_equal(padded[:, 1:10], pixels.transpose(2, 0, 1))

    def test_padding_has_the_mean_of_the_border(self) -> None:
        pixels = noise(5, 6, 3)
        ring = np.array([pixels[i, j] for i in range(5) for j in range(6) if i in (0, 4) or j in (0, 5)])
        padded = decode(pixels, Form(9, 6, 3, fit="pad"), "it").transpose(1, 2, 0)
        assert (padded[[0, 1, 7, 8]] == np.rint(ring.mean(0))).all()
        clear = np.zeros((4, 4, 4), np.uint8)
        clear[0] = 200, 100, 50, 100  # the rest is transparent and has no say in the colour
        clear[1:, :, :3] = 255
        assert decode(clear, Form(4, 6, 4, fit="pad"), "it")[:, 0, 0].tolist() == [200, 100, 50, 33]

    @settings(max_examples=120, deadline=None)
    @given(data=st.data())
    def test_every_form_is_met(self, data: st.DataObject) -> None:
        side, channels = st.integers(1, 40), st.integers(1, 4)
        bits = st.sampled_from([8, 16])
        pixels = noise(data.draw(side), data.draw(side), data.draw(channels), bits=data.draw(bits))
        fit = data.draw(st.sampled_from(FITS))
        form = Form(data.draw(side), data.draw(side), data.draw(channels), data.draw(bits), fit)
        found = decode(pixels, form, "it")
        assert found.shape == (form.channels, form.height, form.width)
        assert found.dtype == (np.uint8 if form.bits == 8 else np.uint16)
        assert found.flags.c_contiguous

    @settings(max_examples=120, deadline=None)
    @given(data=st.data())
    def test_constant_images_stay_constant(self, data: st.DataObject) -> None:
        side, channels, bits = st.integers(1, 70), data.draw(st.integers(1, 4)), data.draw(st.sampled_from([8, 16]))
        top = (1 << bits) - 1
        colour = data.draw(st.lists(st.integers(1, top), min_size=channels, max_size=channels))
        pixels = np.empty((data.draw(side), data.draw(side), channels), np.uint8 if bits == 8 else np.uint16)
        pixels[:] = colour
        form = Form(data.draw(side), data.draw(side), channels, bits, data.draw(st.sampled_from(FITS)))
        assert (decode(pixels, form, "it") == np.array(colour)[:, None, None]).all()

    @pytest.mark.parametrize("bits", [8, 16])
    def test_what_is_transparent_does_not_bleed(self, bits: int) -> None:
        """Red that is seen beside green that is not: no green anywhere, whatever the size."""
        top = (1 << bits) - 1
        pixels = np.zeros((40, 40, 4), np.uint8 if bits == 8 else np.uint16)
        pixels[:, :20], pixels[:, 20:] = (top, 0, 0, top), (0, top, 0, 0)
        for side in (7, 13, 90):
            red, green, _, alpha = decode(pixels, Form(side, side, 4, bits), "it")
            assert not green.any()
            assert (red[alpha > 0] == top).all()
            shown = decode(pixels, Form(side, side, 3, bits), "it")
            assert (shown[0] == top).all()  # red beside white

    def test_downwards_is_antialiased(self) -> None:
        board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None]
        assert np.abs(decode(board, Form(8, 8, 1), "it").astype(int) - 127.5).max() < 8

    @pytest.mark.parametrize("fit", FITS)
    def test_photographs_are_decoded_small_but_never_too_small(self, fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
        from PIL.JpegImagePlugin import JpegImageFile

        smooth = Image.fromarray(noise(9, 12, 3)).resize((1200, 900), Image.Resampling.BICUBIC)
        content, sizes = saved(smooth, "JPEG", quality=95), []
        load = JpegImageFile.load
        monkeypatch.setattr(JpegImageFile, "load", lambda self: (sizes.append(self.size), load(self))[1])
        for height, width in ((64, 64), (100, 300), (300, 100), (900, 1200)):
            small = decode(content, Form(height, width, 3, fit=fit), "it")
            whole = decode(np.asarray(Image.open(io.BytesIO(content))), Form(height, width, 3, fit=fit), "it")
            assert np.abs(small.astype(int) - whole).mean() < 1
        drafts = sizes[::2]
        assert drafts[0] == (300, 225)
        assert all(
            w >= 2 * form[1] and h >= 2 * form[0] for (w, h), form in zip(drafts, [(56, 64), (100, 300)], strict=False)
        )
        assert drafts[-1] == (1200, 900)
        content = saved(smooth, "JPEG", exif=b"Exif\0\0" + tiff_header(6))
        assert decode(content, Form(300, 100, 3, fit=fit), "it").shape == (3, 300, 100)
        assert sizes[-1] == (600, 450)  # to be turned


WHOLE = {
    "PNG": saved(Image.fromarray(noise(20, 30, 3))),
    "JPEG": saved(Image.fromarray(noise(20, 30, 3)), "JPEG", exif=b"Exif\0\0" + tiff_header(6)),
    "GIF": saved(Image.fromarray(noise(20, 30)), "GIF"),
    "TIFF": saved(Image.fromarray(noise(20, 30, 4)), "TIFF"),
    "LZW": saved(Image.fromarray(noise(20, 30, 3)), "TIFF", compression="tiff_lzw"),
    "WEBP": saved(Image.fromarray(noise(20, 30, 4)), "WEBP"),
    "BMP": saved(Image.fromarray(noise(20, 30, 3)), "BMP"),
    "I;16": saved(Image.fromarray(noise(20, 30, bits=16))),
}


def read_or_refused(content: bytes) -> bool:
    """Whether a picture that may be damaged is read; if not, it must be refused in one line that names it."""
    try:
        seen = look(content, "a file")
        pixels = decode(content, Form(8, 8, 3), "a file")
    except UsageError as error:
        line = str(error)
    else:
        assert seen.height > 0 < seen.width
        assert pixels.shape == (3, 8, 8)
        return True
    assert line.startswith("a file ")
    assert "\n" not in line
    assert len(line) < 500
    return False


class TestRefusals:
    def test_what_is_no_picture(self, tmp_path: Path) -> None:
        for content in (b"hello, world", b"\0" * 100, noise(1000).tobytes(), b"\x89PNG\r\n\x1a\n", b"P5", b"x"):
            for line in (refused(look, content, "a.png"), refused(decode, content, Form(8, 8, 3), "a.png")):
                assert line.startswith("a.png is ")
                assert "leave it out" in line
        assert "0 bytes" in refused(look, b"", "a.png")
        path = tmp_path / "empty.png"
        path.touch()
        assert "0 bytes" in refused(decode, path, Form(8, 8, 3), "a.png")

    def test_files_that_cannot_be_opened(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert refused(look, tmp_path / "a.png", "a.png") == "a.png cannot be read: No such file or directory"
        assert "cannot be read" in refused(decode, tmp_path, Form(8, 8, 3), "a.png")

        def denied(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", denied)
        assert refused(look, tmp_path / "a.png", "a.png") == "a.png cannot be read: Permission denied"

    def test_values_that_are_no_pixels(self) -> None:
        assert "floats" in refused(look, saved(Image.fromarray(np.ones((3, 3), np.float32)), "TIFF"), "a.tif")
        for values in ([-1, 5], [0, 65536]):
            content = saved(Image.fromarray(np.array([values], np.int32)), "TIFF")
            line = refused(decode, content, Form(1, 2, 1, 16), "a.tif")
            assert f"integers from {values[0]} to {values[1]}" in line
        assert "floats" not in refused(look, np.ones((3, 3, 1)), "0")
        assert "float64" in refused(look, np.ones((3, 3, 1)), "0")
        for shape in ((3, 3), (3, 3, 5), (3, 3, 0), (0, 3, 1), (1, 3, 3, 1)):
            assert "(H, W, C)" in refused(decode, np.zeros(shape, np.uint8), Form(3, 3, 1), "0")

    def test_programs_are_not_run(self) -> None:
        content = saved(Image.fromarray(noise(8, 8)), "EPS")
        assert "EPS" in refused(look, content, "a.eps")
        assert "EPS" in refused(decode, content, Form(8, 8, 1), "a.eps")

    def test_another_size_where_it_must_be_exact(self) -> None:
        line = refused(decode, WHOLE["JPEG"], Form(20, 30, 3, fit="exact"), "a.jpg")  # it is turned
        assert line.startswith("a.jpg has 30 x 20 pixels, expected 20 x 30: ")
        assert "data.size" in line
        assert "data.fit" in line
        large = saved(Image.new("L", (400, 400)), "JPEG")
        assert "400 x 400" in refused(decode, large, Form(20, 20, 3, fit="exact"), "a.jpg")

    @pytest.mark.parametrize("limit", [None, 1 << 20, 89478485])
    @pytest.mark.parametrize("side", [60000, 11000])
    def test_bombs(self, side: int, limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever Pillow's own limit is; it warns from 89 million pixels on, raises from twice as many on."""
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        bomb = png((side, side), 8, 2, b"")
        for line in (refused(look, bomb, "a.png"), refused(decode, bomb, Form(8, 8, 3), "a.png")):
            assert line.startswith("a.png promises ")
            assert f"at most {MOST_PIXELS:,} are" in line

    def test_what_pillow_only_warns_of_is_read_in_silence(self) -> None:
        large = png((10_000, 10_000), 1, 0, b"") + bytes(1_000_000)
        with pytest.warns(Image.DecompressionBombWarning):
            Image.open(io.BytesIO(large))
        assert look(large, "it").width == 10_000

    @pytest.mark.parametrize("kind", WHOLE)
    def test_truncated_files(self, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
        content = WHOLE[kind]
        assert read_or_refused(content)
        ends = {
            *range(1, 80),
            *range(80, len(content), max(1, len(content) // 40)),
            *range(len(content) - 20, len(content)),
        }
        outcomes = {end: read_or_refused(content[:end]) for end in sorted(ends)}
        assert not any(read for end, read in outcomes.items() if end < 0.9 * len(content))
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("kind", WHOLE)
    def test_flipped_bits(self, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
        """Either it is read or it is refused in one line: no other exception, no warning, no noise from a library."""
        source = np.random.default_rng(0)
        outcomes = []
        for trial in range(120):
            broken = bytearray(WHOLE[kind])
            for _ in range(trial % 3 + 1):
                place = int(source.integers(min(len(broken), 120) if trial % 2 else len(broken)))
                broken[place] ^= 1 << int(source.integers(8))
            outcomes.append(read_or_refused(bytes(broken)))
        assert not all(outcomes)
        assert any(outcomes)
        noise = capfd.readouterr()
        assert noise == ("", "") or kind == "LZW"  # libtiff writes to stderr by itself


class TestThreads:
    def corrupt(self) -> bytes:
        """A JPEG that is whole but for its EXIF block, which names data beyond its end. Pillow warns of that."""
        block = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIII", 1, 0x010F, 2, 99, 9999, 0)
        return saved(Image.fromarray(noise(16, 16)), "JPEG", exif=b"Exif\0\0" + block)

    def test_warnings_do_not_surface(self) -> None:
        content = self.corrupt()
        with pytest.warns(UserWarning, match="Tag data"):
            Image.open(io.BytesIO(content)).getexif()
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: decode(content, Form(16, 16, 1), "it"), range(200)))
        assert all(np.array_equal(one, found[0]) for one in found)

    def test_other_threads_hear_theirs(self) -> None:
        inside, heard = threading.Event(), threading.Event()

        def silent() -> None:
            with quiet():
                inside.set()
                warnings.warn("unheard", UserWarning, stacklevel=1)
                heard.wait(10)
                warnings.warn("unheard", UserWarning, stacklevel=1)

        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(silent)
            inside.wait(10)
            with pytest.raises(UserWarning, match="heard"):
                warnings.warn("heard", UserWarning, stacklevel=1)
            heard.set()
            done.result()
        with pytest.raises(UserWarning, match="afterwards"):
            warnings.warn("afterwards", UserWarning, stacklevel=1)

    def test_loggers(self, caplog: pytest.LogCaptureFixture) -> None:
        log = logging.getLogger("a library")
        with quiet("a library"):
            log.error("unheard")
        log.error("heard")
        assert caplog.messages == ["heard"]

    def test_silence_wins_over_filters_that_come_later(self) -> None:
        with quiet():
            pass
        warnings.simplefilter("error")
        with quiet():
            warnings.warn("unheard", UserWarning, stacklevel=1)

    def test_threads_decode_the_same(self) -> None:
        contents = [
            saved(Image.fromarray(noise(20, 20, 3, seed=seed)), format)
            for seed in range(20)
            for format in ("PNG", "WEBP")
        ]
        form = Form(9, 13, 3)
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda content: decode(content, form, "it"), contents))
        assert all(
            np.array_equal(one, decode(content, form, "it")) for one, content in zip(found, contents, strict=True)
        )


def test_pillow_is_imported_when_a_picture_is_read() -> None:
    import subprocess
    import sys

    code = "import sys, vaescope.data.pixels; sys.exit('PIL.Image' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
