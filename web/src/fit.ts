// A picture of any size becomes what the model takes, by the rule by which the run's own pictures were read: alpha over
// white, Lanczos antialiased on the way down, then grey by ITU-R 601. Rounds where Pillow does, to be the same to a grey.

import type { Contents } from './contents'

/** Channels of one size, each row by row, with values of bytes. */
interface Planes {
  width: number
  height: number
  planes: Float32Array[]
}

/** Columns and rows, which need not be whole. */
type Size = [number, number]

const byte = (value: number): number => Math.min(255, Math.max(0, Math.round(value)))

/**
 * A picture as the model is shown it.
 *
 * @returns greys in [0, 1], (C, H, W)
 */
export function fitted(image: ImageData, { shape, model }: Contents): Float32Array<ArrayBuffer> {
  const [channels, height, width] = shape
  const clear = channels % 2 === 0
  const given = clear ? weighted(image) : overWhite(image)
  const sized =
    model.fit === 'pad'
      ? padded(given, width, height)
      : scaled(given, width, height, kept(given, width, height, model.fit))
  const { planes } = clear ? unweighted(sized) : sized
  const colours = channels > 2 ? planes.slice(0, 3) : [luma(planes)]
  const chosen = clear ? [...colours, planes[3]] : colours
  const out = new Float32Array(channels * height * width)
  chosen.forEach((plane, c) =>
    out.set(
      plane.map((value) => byte(value) / 255),
      c * height * width,
    ),
  )
  return out
}

/** What crop keeps: as much as has the wanted proportions, around the middle. All others keep everything. */
function kept({ width, height }: Planes, wide: number, tall: number, fit: string): Size {
  return fit === 'stretch'
    ? [width, height]
    : [Math.min(width, (height * wide) / tall), Math.min(height, (width * tall) / wide)]
}

/** Scaled to fit into the size, in the middle of the mean colour of its border. */
function padded(given: Planes, width: number, height: number): Planes {
  const rows = Math.min(height, Math.max(1, Math.round((given.height * width) / given.width)))
  const columns = Math.min(width, Math.max(1, Math.round((given.width * height) / given.height)))
  const inner = scaled(given, columns, rows)
  const left = Math.floor((width - columns) / 2)
  const top = Math.floor((height - rows) / 2)
  const planes = inner.planes.map((plane) => {
    const out = new Float32Array(width * height).fill(mean(border(plane, columns, rows)))
    for (let y = 0; y < rows; y++) out.set(plane.subarray(y * columns, (y + 1) * columns), (top + y) * width + left)
    return out
  })
  return { width, height, planes }
}

/** The outermost values of a plane. */
export function border(plane: ArrayLike<number>, width: number, height: number): number[] {
  return Array.from(plane).filter(
    (_, i) => i < width || i >= width * (height - 1) || i % width === 0 || i % width === width - 1,
  )
}

export const mean = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((sum, value) => sum + value, 0) / values.length

// Channels

function separated({ data, width, height }: ImageData, each: (i: number, c: number) => number, count: number): Planes {
  const planes = Array.from({ length: count }, (_, c) =>
    Float32Array.from({ length: data.length / 4 }, (_, i) => each(4 * i, c)),
  )
  return { width, height, planes }
}

/** Red, green and blue, with white where it shows through. */
function overWhite(image: ImageData): Planes {
  const { data } = image
  return separated(image, (i, c) => Math.floor((data[i + c] * data[i + 3] + 255 * (255 - data[i + 3]) + 127) / 255), 3)
}

/** Colours times alpha, and alpha: what may be averaged. */
function weighted(image: ImageData): Planes {
  const { data } = image
  return separated(image, (i, c) => (c < 3 ? data[i + c] * data[i + 3] : data[i + 3]), 4)
}

function unweighted({ width, height, planes }: Planes): Planes {
  const alpha = planes[3]
  const colours = planes
    .slice(0, 3)
    .map((plane) => plane.map((value, i) => (Math.round(alpha[i]) > 0 ? byte(value / alpha[i]) : 0)))
  return { width, height, planes: [...colours, alpha] }
}

function luma([red, green, blue]: Float32Array[]): Float32Array {
  return red.map((_, i) => (19595 * byte(red[i]) + 38470 * byte(green[i]) + 7471 * byte(blue[i]) + 32768) >> 16)
}

// Lanczos

/** The weights of one pixel of the result, and the first of the given pixels that they are for. */
interface Taps {
  first: number
  weights: Float64Array
}

const SUPPORT = 3
const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x))
const lanczos = (x: number): number => (Math.abs(x) < SUPPORT ? sinc(x) * sinc(x / SUPPORT) : 0)

/** The weights along one direction: `size` pixels of the result out of `length` in the middle of `all` that there are. */
function taps(size: number, length: number, all: number): Taps[] {
  const step = length / size
  const widened = Math.max(1, step)
  const whole = Math.ceil(length) + ((all - Math.ceil(length)) % 2) // the fewest with the same middle that hold them all
  const begin = (all - whole) / 2
  const start = step === 1 ? Math.floor((all - length) / 2) : (all - length) / 2 // at its own scale no pixel is cut in two
  return Array.from({ length: size }, (_, k) => {
    const centre = start + (k + 0.5) * step
    const first = Math.max(begin, Math.floor(centre - SUPPORT * widened + 0.5))
    const last = Math.min(begin + whole, Math.floor(centre + SUPPORT * widened + 0.5))
    const weights = Float64Array.from({ length: last - first }, (_, i) => lanczos((first + i - centre + 0.5) / widened))
    const sum = weights.reduce((total, weight) => total + weight, 0)
    return { first, weights: weights.map((weight) => weight / sum) }
  })
}

/** The middle of it resampled, first along rows. Three planes are bytes, rounded after each direction; with alpha not. */
function scaled(
  given: Planes,
  width: number,
  height: number,
  [wide, tall]: Size = [given.width, given.height],
): Planes {
  const across = taps(width, wide, given.width)
  const down = taps(height, tall, given.height)
  const round = given.planes.length === 3 ? byte : (value: number): number => value
  const planes = given.planes.map((plane) => {
    const rows = along(plane, across, given.height, given.width, 1, round)
    return along(rows, down, width, 1, width, round)
  })
  return { width, height, planes }
}

/** One direction: `lines` lines whose starts are `apart` apart, with pixels `step` apart; the result lies alike. */
function along(
  plane: Float32Array,
  all: Taps[],
  lines: number,
  apart: number,
  step: number,
  round: (value: number) => number,
): Float32Array {
  const out = new Float32Array(lines * all.length)
  const outApart = step === 1 ? all.length : 1
  for (let line = 0; line < lines; line++) {
    all.forEach(({ first, weights }, k) => {
      let sum = 0
      for (let i = 0; i < weights.length; i++) sum += weights[i] * plane[line * apart + (first + i) * step]
      out[line * outApart + k * step] = round(sum)
    })
  }
  return out
}
