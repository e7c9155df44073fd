"""Makes the images of tests/inputs_images.rs and expected.csv: name, width, height, RGB bytes in hex.

The pixels are those of Pillow without `exif_transpose`; Pillow itself turns TIFF files. Run in this folder with Pillow and NumPy.
"""

import numpy as np
from PIL import Image, ImageOps

W, H = 12, 10
y, x = np.mgrid[0:H, 0:W]
rgb = np.stack([x * 20 + 10, y * 24 + 8, (x + y) * 11], -1).astype(np.uint8)
rgb[:2, :3] = [250, 20, 30]  # a corner that shows the orientation
picture, grey = Image.fromarray(rgb), Image.fromarray(rgb[..., 0])
bilevel = Image.fromarray(((x // 3 + y // 2) % 2 * 255).astype(np.uint8)).convert("1")
alpha = picture.copy()
alpha.putalpha(Image.fromarray(((x * 20) % 256).astype(np.uint8)))
second = ImageOps.invert(picture)
wide = (rgb[..., 0].astype(np.uint16) * 257) + (x.astype(np.uint16) % 3)

files = {}


def save(name, image, expected=None, **options):
    image.save(name, **options)
    if expected is None:
        with Image.open(name) as stored:
            expected = np.asarray(stored.convert("RGB"))
    files[name] = expected


def exif(orientation):
    found = Image.Exif()
    found[0x112] = orientation
    return found


save("rgb.png", picture)
save("grey.png", grey)
save("bits.png", bilevel)
save("palette.png", picture.quantize(16))
save("alpha.png", alpha, rgb)
save("frames.png", picture, save_all=True, append_images=[second])
save("turned.png", picture, exif=exif(8))
save("rgb.jpg", picture, quality=95, subsampling=0)
save("subsampled.jpg", picture, quality=90)
save("progressive.jpg", picture, quality=95, subsampling=0, progressive=True)
noise = np.random.default_rng(3).integers(0, 256, (21, 37, 3), dtype=np.uint8)
save("noise.jpg", Image.fromarray(noise), quality=90, subsampling=0, progressive=True)
save("restarts.jpg", picture, quality=95, subsampling=0, restart_marker_blocks=1)
save("grey.jpg", grey, quality=95)
save("cmyk.jpg", picture.convert("CMYK"), quality=95)
save("turned.jpg", picture, quality=95, subsampling=0, exif=exif(6))
save("lossless.webp", picture, lossless=True)
save("lossy.webp", picture, quality=95)
save("turned.webp", picture, lossless=True, exif=exif(3))
save("frames.webp", picture, lossless=True, save_all=True, append_images=[second])
save("one.gif", picture.quantize(64))
save("frames.gif", picture.quantize(64), save_all=True, append_images=[second.quantize(64)])
save("rgb.bmp", picture)
save("palette.bmp", picture.quantize(16))
save("rgb.tif", picture)
save("lzw.tif", picture, compression="tiff_lzw")
save("deflate.tif", picture, compression="tiff_adobe_deflate")
save("packbits.tif", picture, compression="packbits")
save("jpeg.tif", picture, compression="jpeg", quality=95)
save("fax.tif", bilevel, compression="group4")
save("frames.tif", picture, save_all=True, append_images=[second])
save("turned.tif", picture, tiffinfo={0x112: 6})
save("rgb.ppm", picture)
save("grey.pgm", grey)
save("bits.pbm", bilevel)
sixteen = np.repeat(((wide.astype(np.uint32) + 128) // 257).astype(np.uint8)[..., None], 3, -1)
save("sixteen.png", Image.fromarray(wide), sixteen)
save("sixteen.tif", Image.fromarray(wide), sixteen)
with open("sixteen.pgm", "wb") as out:
    out.write(b"P5 %d %d 65535\n" % (W, H) + wide.astype(">u2").tobytes())
files["sixteen.pgm"] = sixteen
levels = rgb[..., 0] // 17
with open("levels.pgm", "w") as out:
    out.write(f"P2\n# levels 0 to 15\n{W} {H} 15\n" + "\n".join(" ".join(map(str, row)) for row in levels) + "\n")
files["levels.pgm"] = np.repeat((levels * 17)[..., None], 3, -1).astype(np.uint8)

with open("expected.csv", "w") as out:
    for name, pixels in sorted(files.items()):
        out.write(f"{name},{pixels.shape[1]},{pixels.shape[0]},{pixels.tobytes().hex()}\n")
