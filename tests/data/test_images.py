"""Images become the grey values that are in them, or a sentence."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from snntorch_binary.data import CorruptDataError, DataNotFoundError, RateEncoder, SignedRateEncoder
from snntorch_binary.data.images import read_grey
from snntorch_binary.data.unlabelled import read_unlabelled

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 8)).astype(np.uint8)
GREY[0, :2] = 0, 255
WIDE = GREY.astype(np.uint16) * 257
ORIENTED = {  # what the camera stored, and how it is to be seen
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].T,
    8: lambda a: np.rot90(a),
}


def grey(file):
    return read_grey(file).numpy()


def saved(tmp_path, name, image, **options):
    file = tmp_path / name
    image.save(file, **options)
    return file


def from_mode(mode):
    return Image.fromarray(GREY).convert(mode)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.gif", "a.pgm", "a.tif", "a.tiff", "A.PNG"])
def test_grey_values_of_8_bits(tmp_path, name):
    assert np.array_equal(grey(saved(tmp_path, name, Image.fromarray(GREY))), GREY)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_grey_values_of_16_bits(tmp_path, name):
    assert np.array_equal(grey(saved(tmp_path, name, Image.fromarray(WIDE))), GREY)
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert np.array_equal(grey(saved(tmp_path, name, Image.fromarray(every))), np.rint(every / 257))


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_of_16_bits_in_either_order_of_bytes(tmp_path, order):
    image = Image.frombytes("I;16" if order == "<" else "I;16B", (8, 6), WIDE.astype(f"{order}u2").tobytes())
    file = saved(tmp_path, "a.tif", image)
    assert file.read_bytes()[:2] == (b"II" if order == "<" else b"MM")
    assert np.array_equal(grey(file), GREY)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("i32.tif", WIDE.astype(np.int32)),
        ("float.tif", (GREY / 255).astype(np.float32)),
    ],
)
def test_what_may_be_of_any_range_is_refused(tmp_path, name, array):
    file = saved(tmp_path, name, Image.fromarray(array))
    with pytest.raises(CorruptDataError, match=rf"{name} was refused: .*does not say which are black and white"):
        read_grey(file)


def tiff16(bits=16, photometric=1, sample_format=1):
    """A TIFF file of 8 x 6 values, little-endian, by hand."""
    entries = [(256, 8), (257, 6), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1), (278, 6)]
    entries += [(279, 96), (339, sample_format)]
    pixels = WIDE.astype("<u2").tobytes()
    table = b"".join(struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + struct.pack("<H", len(entries)) + table + bytes(4)


@pytest.mark.parametrize("fields", [{"photometric": 0}, {"sample_format": 2}, {"bits": 12}])
def test_16_bits_with_white_as_zero_or_signs_or_fewer_bits_are_refused(tmp_path, fields):
    file = tmp_path / "a.tif"
    file.write_bytes(tiff16())
    assert np.array_equal(grey(file), GREY)
    file.write_bytes(tiff16(**fields))
    with pytest.raises(CorruptDataError, match=r"a\.tif (was refused|cannot be read)"):
        read_grey(file)


@pytest.mark.parametrize("mode", ["RGB", "P", "CMYK", "RGBA", "LA"])
def test_grey_in_another_form(tmp_path, mode):
    name = "a.tif" if mode == "CMYK" else "a.png"
    assert np.array_equal(grey(saved(tmp_path, name, from_mode(mode))), GREY)


def test_colours_become_their_luma(tmp_path):
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]]], np.uint8)
    assert grey(saved(tmp_path, "a.png", Image.fromarray(colours))).tolist() == [[76, 150, 29, 18]]
    palette = Image.fromarray(colours).quantize(4)
    assert palette.mode == "P"
    assert grey(saved(tmp_path, "b.png", palette)).tolist() == [[76, 150, 29, 18]]


def test_one_bit(tmp_path):
    bits = GREY > 127
    for name in ("a.png", "a.tif", "a.bmp"):
        assert np.array_equal(grey(saved(tmp_path, name, Image.fromarray(bits))), 255 * bits)


@pytest.mark.parametrize("orientation", ORIENTED)
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.webp"])
def test_the_picture_is_turned_as_exif_says(tmp_path, name, orientation):
    big = np.kron(GREY, np.ones((16, 16), np.uint8))  # whole blocks, which JPEG keeps well
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"a.webp": {"lossless": True}, "a.jpg": {"quality": 100}}.get(name, {})
    file = saved(tmp_path, name, Image.fromarray(big), exif=exif, **options)
    found, expected = grey(file), ORIENTED[orientation](big)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= (3 if name in ("a.jpg", "a.webp") else 0)


def test_16_bits_are_turned_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a.png", "a.tif"):
        assert np.array_equal(grey(saved(tmp_path, name, Image.fromarray(WIDE), exif=exif)), np.rot90(GREY, -1))


def transparent_palette():
    image = from_mode("P")
    image.info["transparency"] = int(np.array(image)[2, 2])
    return image


def with_alpha(mode, alpha):
    image = from_mode(mode)
    image.putpixel((3, 2), (*image.getpixel((3, 2))[:-1], alpha))
    return image


@pytest.mark.parametrize("alpha", [0, 254])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_pixel_one_can_see_through_is_refused(tmp_path, mode, alpha):
    with pytest.raises(CorruptDataError, match=r"a\.png was refused: one can see through"):
        read_grey(saved(tmp_path, "a.png", with_alpha(mode, alpha)))


@pytest.mark.parametrize("make", [from_mode, lambda mode: Image.fromarray(WIDE)])
def test_one_value_that_is_transparent(tmp_path, make):
    for name, mode in (("l.png", "L"), ("rgb.png", "RGB")):
        image = make(mode)
        values = np.array(image)[2, 2]
        there = tuple(map(int, values)) if values.ndim else int(values)
        with pytest.raises(CorruptDataError, match="one can see through"):
            read_grey(saved(tmp_path, name, image, transparency=there))
        if image.mode != "RGB":
            absent = int(np.setdiff1d(np.arange(256) * (257 if image.mode != "L" else 1), np.array(image))[0])
            assert np.array_equal(grey(saved(tmp_path, name, image, transparency=absent)), GREY)


def test_a_transparent_palette(tmp_path):
    for name in ("a.png", "a.gif"):
        image = transparent_palette()
        with pytest.raises(CorruptDataError, match="one can see through"):
            read_grey(saved(tmp_path, name, image, transparency=image.info["transparency"]))


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.png", "a.webp"])
def test_several_pictures_in_a_file_are_refused(tmp_path, name):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    file = saved(tmp_path, name, frames[0], save_all=True, append_images=frames[1:])
    with pytest.raises(CorruptDataError, match=rf"{name} was refused: it has 2 pictures"):
        read_grey(file)


def test_the_first_picture_of_a_telephone(tmp_path):
    big = np.kron(GREY, np.ones((16, 16), np.uint8))
    thumbnail = Image.fromarray(GREY)
    file = saved(
        tmp_path, "a.jpg", Image.fromarray(big), format="MPO", save_all=True, append_images=[thumbnail], quality=100
    )
    assert np.abs(grey(file).astype(int) - big).max() <= 3


def test_a_telephone_that_counts_its_pictures_wrongly(tmp_path):
    big = np.kron(GREY, np.ones((16, 16), np.uint8))
    options = {"format": "MPO", "save_all": True, "append_images": [Image.fromarray(GREY)], "quality": 100}
    file = saved(tmp_path, "a.jpg", Image.fromarray(big), **options)
    data = file.read_bytes()
    marker = data.index(b"MPF\0") + 4
    file.write_bytes(data[:marker] + b"MM\0*\0\0\0\x08\0\0" + data[marker + 10 :])  # no entries
    with pytest.warns(UserWarning, match="malformed MPO"):
        Image.open(file).close()
    assert np.abs(grey(file).astype(int) - big).max() <= 3


def test_a_palette_with_an_alpha_for_each_colour(tmp_path):
    image = from_mode("P")
    assert np.array_equal(grey(saved(tmp_path, "a.png", image, transparency=bytes([255] * 256))), GREY)
    with pytest.raises(CorruptDataError, match="one can see through"):
        read_grey(saved(tmp_path, "a.png", image, transparency=bytes([128] * 256)))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, pixels=b"\0"):
    start = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", start) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("size", [(2**15, 2**15), (2**31 - 1, 2**31 - 1), (12_000, 12_000), (4097, 4096)])
def test_an_image_that_unfolds_to_gigabytes_is_refused_before_it_does(tmp_path, size, monkeypatch):
    file = tmp_path / "a.png"
    file.write_bytes(png(*size))
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda self: pytest.fail("was unpacked"))
    with pytest.raises(CorruptDataError, match=r"a\.png (was refused: it has .* than 2\^24|.* decompression bomb)"):
        read_grey(file)
    with pytest.raises(ValueError, match=r"a\.png|images of 2 x 2 pixels"):
        read_grey(file, 4)


def test_text_in_a_png_that_unfolds(tmp_path):
    file = tmp_path / "a.png"
    data = png(1, 1, b"\0\0")
    bomb = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**26)))
    file.write_bytes(data[:33] + bomb + data[33:])
    with pytest.raises(CorruptDataError, match=r"a\.png cannot be read"):
        read_grey(file)


def test_a_file_is_what_it_contains_and_nothing_that_runs_a_program(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(evil) run\n")
    with pytest.raises(CorruptDataError, match=r"a\.png cannot be read \(cannot identify"):
        read_grey(tmp_path / "a.png")


def encoded(format):
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if format in ("PNG", "JPEG", "TIFF", "WEBP") else {}
    Image.fromarray(np.kron(GREY, np.ones((4, 4), np.uint8))).save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP"])
def test_damaged_images_end_in_a_sentence_or_an_image(tmp_path, format):
    file, data = tmp_path / "a.png", encoded(format)
    rng = np.random.default_rng(0)
    start, said = time.monotonic(), []
    for trial in range(150):
        damaged = bytearray(data)
        for _ in range(1 + trial % 3):
            damaged[rng.integers(0, min(len(data), 200 if trial % 2 else len(data)))] = rng.integers(0, 256)
        file.write_bytes(damaged[: rng.integers(1, len(data))] if trial % 5 == 0 else damaged)
        try:
            assert read_grey(file).dtype == torch.uint8
        except CorruptDataError as error:
            said.append(str(error))
    assert len(said) >= 20
    assert all(sentence.startswith(f"The image {file} ") and "\n" not in sentence for sentence in said)
    assert time.monotonic() - start < 60


def test_a_changed_pixel_of_a_png_is_seen(tmp_path):
    file = saved(tmp_path, "a.png", Image.fromarray(GREY))
    data = file.read_bytes()
    for place in range(data.index(b"IDAT") + 4, data.index(b"IEND") - 8):
        file.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        with pytest.raises(CorruptDataError, match="cannot be read"):
            read_grey(file)


def test_the_size_must_be_the_networks(tmp_path):
    file = saved(tmp_path, "a.png", Image.fromarray(GREY))
    assert read_grey(file, 48).shape == (6, 8)
    for pixels, said in ((49, "7 x 7 pixels"), (47, "47 pixels"), (64, "8 x 8 pixels")):
        with pytest.raises(ValueError, match=rf"images of {said}, .* but got 8 x 6 in .*a\.png"):
            read_grey(file, pixels)


def test_a_folder_of_several_sizes_is_refused(tmp_path):
    saved(tmp_path, "a.png", Image.fromarray(GREY))
    saved(tmp_path, "b.png", Image.fromarray(GREY.T))
    with pytest.raises(ValueError, match=r"images of one size, 8 x 6 pixels as .*a\.png, but got 6 x 8 in .*b\.png"):
        read_unlabelled(tmp_path, 4, (48,), RateEncoder())


SIDECARS = ["._a.png", ".DS_Store", ".hidden.png", "__MACOSX/._a.png", "__MACOSX/a.png", ".git/x.png", "Thumbs.db"]


def test_what_a_desktop_left_in_a_folder_is_passed_over(tmp_path):
    for name in (*SIDECARS, "desktop.ini", "below/._b.png", "@eaDir/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\x00\x05\x16\x07" + bytes(4092))
    with pytest.raises(DataNotFoundError, match="has no images"):
        read_unlabelled(tmp_path, 4, (48,), RateEncoder())
    saved(tmp_path, "a.png", Image.fromarray(GREY))
    saved(tmp_path / "below", "b.png", Image.fromarray(GREY))
    data, files = read_unlabelled(tmp_path, 4, (48,), RateEncoder())
    assert [file.relative_to(tmp_path).as_posix() for file in files] == ["a.png", "below/b.png"]
    assert torch.equal(data.inputs, torch.from_numpy(GREY).flatten().expand(2, -1))


def test_a_hidden_folder_may_be_named(tmp_path):
    folder = tmp_path / ".mine"
    folder.mkdir()
    saved(folder, "a.png", Image.fromarray(GREY))
    assert len(read_unlabelled(folder, 4, (48,), RateEncoder())[1]) == 1


COLOURS = np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def test_colours_where_the_network_takes_three_planes(tmp_path):
    saved(tmp_path, "a.png", Image.fromarray(COLOURS))
    saved(tmp_path, "b.png", Image.fromarray(GREY))
    data, files = read_unlabelled(tmp_path, 4, (3, 6, 8), SignedRateEncoder())
    assert [file.name for file in files] == ["a.png", "b.png"]
    assert torch.equal(data.inputs[0], torch.from_numpy(COLOURS).movedim(-1, 0))
    assert torch.equal(data.inputs[1], torch.from_numpy(GREY).expand(3, -1, -1))
    with pytest.raises(ValueError, match=r"images of 6 x 8 pixels, .*, but got 8 x 6 in .*a\.png"):
        read_unlabelled(tmp_path, 4, (3, 8, 6), SignedRateEncoder())


def test_images_for_a_network_whose_encoding_is_not_known(tmp_path):
    saved(tmp_path, "a.png", Image.fromarray(GREY))
    for steps, encoder in ((None, RateEncoder()), (4, None)):
        with pytest.raises(ValueError, match=r"`folder` to be of arrays \(\.npy\), as the network takes them"):
            read_unlabelled(tmp_path, steps, (48,), encoder)


def arrays(folder, *values):
    for index, value in enumerate(values):
        np.save(folder / f"{index}.npy", value)


def test_arrays_are_inputs_as_they_are(tmp_path):
    values = np.random.default_rng(0).random((3, 4, 2, 5))
    arrays(tmp_path, values[0], values[1].astype(np.float32), (values[2] < 0.5))
    x, files = read_unlabelled(tmp_path, 4, (2, 5), arrays=True)
    assert [file.name for file in files] == ["0.npy", "1.npy", "2.npy"]
    assert x.dtype == torch.float32
    assert torch.equal(x[:2], torch.from_numpy(values[:2]).float())
    assert torch.equal(x[2], torch.from_numpy(values[2] < 0.5).float())
    assert torch.equal(read_unlabelled(tmp_path, None, (4, 2, 5), arrays=True)[0], x)
    with pytest.raises(ValueError, match=r"arrays of the shape \[3, 2, 5\], .* but got \[4, 2, 5\] in .*0\.npy"):
        read_unlabelled(tmp_path, 3, (2, 5), arrays=True)


@pytest.mark.parametrize("bad", [b"", b"text", b"\x93NUMPY\x01\x00\xff\xff", "pickle", "words", "complex", "nan"])
def test_arrays_that_are_none_are_refused_and_run_nothing(bad, tmp_path, planted_pickle):
    folder, marker = tmp_path / "arrays", tmp_path / "marker"
    folder.mkdir()
    path = folder / "0.npy"
    if isinstance(bad, bytes):
        path.write_bytes(bad)
    elif bad == "pickle":
        path.write_bytes(planted_pickle(marker))
    else:
        value = {"words": np.array(["a"]), "complex": np.ones(1, complex), "nan": np.full(1, np.nan)}[bad]
        np.save(path, value)
    with pytest.raises(CorruptDataError, match=r"0\.npy (is damaged or no array of numbers|holds NaN)"):
        read_unlabelled(folder, None, (1,), arrays=True)
    assert not marker.exists()
