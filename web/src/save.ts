// Files for the user: the page makes them, and a link with a name lets them be saved.

import { GIFEncoder, applyPalette, quantize, type Palette } from 'gifenc'
import { imageData } from './pictures'

type Shape = readonly [number, number, number]

/** Offers a file. */
export function save(name: string, blob: Blob): void {
  const address = URL.createObjectURL(blob)
  const link = document.createElement('a')
  Object.assign(link, { href: address, download: name.replace(/[^\w.-]+/g, '-') })
  document.body.append(link)
  link.click()
  link.remove()
  setTimeout(() => URL.revokeObjectURL(address), 60_000)
}

/** How often a pixel is repeated so that a picture is about so wide. */
export const factor = ([, height, width]: Shape, about: number): number =>
  Math.max(1, Math.round(about / Math.max(height, width)))

/** Pictures side by side, in rows of equal length where one of 1,600 pixels does not hold them all, as a PNG file. */
export async function sheetPNG(images: ArrayLike<number>[], shape: Shape): Promise<Blob> {
  const [times, gap] = [factor(shape, 96), 2]
  const [high, wide] = [shape[1] * times + gap, shape[2] * times + gap]
  const rows = Math.ceil(images.length / Math.max(1, Math.floor(1600 / wide)))
  const columns = Math.ceil(images.length / rows)
  const canvas = Object.assign(document.createElement('canvas'), {
    width: columns * wide - gap,
    height: rows * high - gap,
  })
  const context = canvas.getContext('2d') as CanvasRenderingContext2D
  context.imageSmoothingEnabled = false
  context.fillStyle = '#ffffff'
  context.fillRect(0, 0, canvas.width, canvas.height)
  for (const [k, image] of images.entries()) {
    const small = Object.assign(document.createElement('canvas'), { width: shape[2], height: shape[1] })
    small.getContext('2d')?.putImageData(imageData(image, shape), 0, 0)
    context.drawImage(small, (k % columns) * wide, Math.floor(k / columns) * high, wide - gap, high - gap)
  }
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('no PNG could be made'))), 'image/png'),
  )
}

/**
 * An animation of pictures, without end, as a GIF file.
 *
 * @param order which picture each frame shows
 * @param delay milliseconds of each frame
 */
export function animationGIF(
  images: ArrayLike<number>[],
  shape: Shape,
  order: number[],
  delay: (frame: number) => number,
): Blob {
  const [, height, width] = shape
  const times = factor(shape, 256)
  const { palette, indices } = indexed(images, shape)
  const frames = indices.map((index) => enlarged(index, width, times))
  const encoder = GIFEncoder()
  order.forEach((k, frame) => {
    encoder.writeFrame(frames[k], width * times, height * times, {
      delay: delay(frame),
      repeat: 0,
      ...(frame ? {} : { palette }),
    })
  })
  encoder.finish()
  return new Blob([encoder.bytes()], { type: 'image/gif' })
}

/** Pictures as places in a palette of all of them: 256 greys, which are exact, or the 256 colours that fit best. */
function indexed(images: ArrayLike<number>[], shape: Shape): { palette: Palette; indices: Uint8Array[] } {
  const bytes = images.map((image) => opaque(imageData(image, shape).data))
  if (shape[0] < 3) {
    const palette = Array.from({ length: 256 }, (_, grey) => [grey, grey, grey])
    return {
      palette,
      indices: bytes.map((rgba) => Uint8Array.from({ length: rgba.length / 4 }, (_, i) => rgba[4 * i])),
    }
  }
  const all = new Uint8ClampedArray(bytes.length * bytes[0].length)
  bytes.forEach((rgba, k) => all.set(rgba, k * rgba.length))
  const palette = quantize(all, 256)
  return { palette, indices: bytes.map((rgba) => applyPalette(rgba, palette)) }
}

/** Colours on white, as a GIF knows no half-transparent ones. */
function opaque(rgba: Uint8ClampedArray): Uint8ClampedArray {
  return rgba.map((value, i) => (i % 4 === 3 ? 255 : 255 + (rgba[i | 3] / 255) * (value - 255)))
}

/** Rows of pixels, each repeated both ways. */
function enlarged(index: Uint8Array, width: number, times: number): Uint8Array {
  const wide = width * times
  const out = new Uint8Array(index.length * times * times)
  for (let i = 0; i < index.length; i++) {
    const start = Math.floor(i / width) * times * wide + (i % width) * times
    for (let row = 0; row < times; row++) out.fill(index[i], start + row * wide, start + row * wide + times)
  }
  return out
}
