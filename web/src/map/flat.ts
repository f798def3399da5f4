// Points without WebGL: discs are blended into the bytes of a picture, which is faster than as many calls to draw.

import type { View } from '../app'
import type { Look, Renderer } from './points'

/** How much of each pixel a disc covers, (side, side), with its middle at a half of a pixel or not. */
interface Disc {
  side: number
  cover: Float32Array
}

/** In how many places within a pixel, each way, a disc may lie. */
const STEPS = 2

/** The picture is larger than the canvas by this many pixels on each side, so that no disc has to be cut. */
const MARGIN = 32

export function flat(canvas: HTMLCanvasElement): Renderer {
  const context = canvas.getContext('2d') as CanvasRenderingContext2D
  let places = new Float32Array(0)
  let colours: Uint8Array = new Uint8Array(0)
  let image: ImageData | null = null
  return {
    place(values) {
      places = values as Float32Array<ArrayBuffer>
    },
    paint(values) {
      colours = values
    },
    clear: () => context.clearRect(0, 0, canvas.width, canvas.height),
    draw(view, look) {
      const width = canvas.width + 2 * MARGIN
      const height = canvas.height + 2 * MARGIN
      if (image?.width !== width || image.height !== height) image = new ImageData(width, height)
      new Uint32Array(image.data.buffer).fill(0)
      stamp(image, places, colours, view, look)
      context.putImageData(image, -MARGIN, -MARGIN)
    },
  }
}

function stamp(image: ImageData, places: Float32Array, colours: Uint8Array, view: View, look: Look): void {
  const ratio = (image.width - 2 * MARGIN) / view.width
  const discs = made(look.radius * ratio)
  const { side } = discs[0]
  const [left, top] = view.toScreen(0, 0)
  const per = view.scale * ratio
  for (let i = 0; i < colours.length / 4; i++) {
    if (!colours[4 * i + 3]) continue
    const x = MARGIN + left * ratio + places[2 * i] * per - side / 2
    const y = MARGIN + top * ratio - places[2 * i + 1] * per - side / 2
    const column = Math.floor(x)
    const row = Math.floor(y)
    if (column < 0 || row < 0 || column + side > image.width || row + side > image.height) continue
    const disc = discs[Math.floor(STEPS * (y - row)) * STEPS + Math.floor(STEPS * (x - column))]
    blend(image.data, 4 * (row * image.width + column), 4 * image.width, disc, colours, 4 * i, look.alpha)
  }
}

/** Lays one disc over what is there. The colours of the picture are not multiplied by their opacity. */
function blend(
  data: Uint8ClampedArray,
  start: number,
  width: number,
  disc: Disc,
  colours: Uint8Array,
  from: number,
  alpha: number,
): void {
  const own = (colours[from + 3] / 255) * alpha
  for (let row = 0, k = 0; row < disc.side; row++) {
    let at = start + row * width
    for (let end = at + 4 * disc.side; at < end; at += 4, k++) {
      if (!disc.cover[k]) continue
      const over = own * disc.cover[k]
      const under = (data[at + 3] / 255) * (1 - over)
      const all = over + under
      for (let c = 0; c < 3; c++) data[at + c] = (data[at + c] * under + colours[from + c] * over) / all
      data[at + 3] = 255 * all
    }
  }
}

function made(radius: number): Disc[] {
  const side = 2 * Math.ceil(radius + 0.5) + 2
  return Array.from({ length: STEPS ** 2 }, (_, k) => {
    const middle = [side / 2 + ((k % STEPS) + 0.5) / STEPS, side / 2 + (Math.floor(k / STEPS) + 0.5) / STEPS]
    const far = (i: number): number => Math.hypot((i % side) + 0.5 - middle[0], Math.floor(i / side) + 0.5 - middle[1])
    return {
      side,
      cover: Float32Array.from({ length: side ** 2 }, (_, i) => Math.min(1, Math.max(0, radius + 0.5 - far(i)))),
    }
  })
}
