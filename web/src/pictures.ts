// Pictures: from the greys of the model, and from the sheets that the page holds.

import { bytes } from './blocks'
import { diverging } from './colours'
import type { Sheets } from './contents'

/** One image of the model, greys in [0, 1], (C, H, W), as it is put on a canvas. */
export function imageData(values: ArrayLike<number>, shape: readonly [number, number, number], from = 0): ImageData {
  const [channels, height, width] = shape
  const out = new ImageData(width, height)
  const size = height * width
  const byte = (channel: number, i: number): number => Math.round(255 * values[from + channel * size + i])
  for (let i = 0; i < size; i++) {
    const colours = channels > 2 ? [0, 1, 2] : [0, 0, 0]
    for (let c = 0; c < 3; c++) out.data[4 * i + c] = byte(colours[c], i)
    out.data[4 * i + 3] = channels % 2 ? 255 : byte(channels - 1, i)
  }
  return out
}

/** The difference of two images, the mean over channels, in blue and red around white; `most` has the full colour. */
export function differenceData(
  made: ArrayLike<number>,
  real: ArrayLike<number>,
  shape: readonly [number, number, number],
  most = 1,
): ImageData {
  const [channels, height, width] = shape
  const out = new ImageData(width, height)
  const size = height * width
  for (let i = 0; i < size; i++) {
    let sum = 0
    for (let c = 0; c < channels; c++) sum += made[c * size + i] - real[c * size + i]
    out.data.set([...diverging(sum / channels / most), 255], 4 * i)
  }
  return out
}

/** Shows an image on a canvas of its size; style enlarges it, and `image-rendering: pixelated` keeps its pixels. */
export function show(canvas: HTMLCanvasElement, data: ImageData): void {
  if (canvas.width !== data.width || canvas.height !== data.height)
    Object.assign(canvas, { width: data.width, height: data.height })
  canvas.getContext('2d')?.putImageData(data, 0, 0)
}

/** Pictures by their number, from sheets. */
export class Album {
  private constructor(
    readonly sheets: Sheets,
    private readonly drawn: ImageBitmap[],
  ) {}

  private kept: CanvasRenderingContext2D | null = null

  static async open(sheets: Sheets): Promise<Album> {
    const drawn = await Promise.all(sheets.blocks.map(async (name) => createImageBitmap(new Blob([await bytes(name)]))))
    return new Album(sheets, drawn)
  }

  /** Draws one onto a canvas, by default over all of it and with its pixels kept. */
  draw(
    context: CanvasRenderingContext2D,
    number: number,
    x = 0,
    y = 0,
    width = context.canvas.width,
    height = context.canvas.height,
  ): void {
    const { sheets } = this
    const place = number % sheets.each
    const left = (place % sheets.columns) * sheets.width
    const top = Math.floor(place / sheets.columns) * sheets.height
    context.imageSmoothingEnabled = false
    context.drawImage(
      this.drawn[Math.floor(number / sheets.each)],
      left,
      top,
      sheets.width,
      sheets.height,
      x,
      y,
      width,
      height,
    )
  }

  /** Shows one on a canvas. */
  show(canvas: HTMLCanvasElement, number: number): void {
    Object.assign(canvas, { width: this.sheets.width, height: this.sheets.height })
    const context = canvas.getContext('2d')
    if (context) this.draw(context, number)
  }

  /** One as greys in [0, 1], (C, H, W), brought to that size if the page holds it smaller. */
  values(number: number, [channels, height, width]: readonly [number, number, number]): Float32Array {
    const context = this.scratch(width, height)
    context.clearRect(0, 0, width, height)
    this.draw(context, number, 0, 0, width, height)
    const { data } = context.getImageData(0, 0, width, height)
    const size = height * width
    const out = new Float32Array(channels * size)
    for (let c = 0; c < channels; c++) {
      const from = channels % 2 || c < channels - 1 ? c : 3
      for (let i = 0; i < size; i++) out[c * size + i] = data[4 * i + from] / 255
    }
    return out
  }

  /** The mean of some, as greys in [0, 1], (C, H, W). */
  mean(numbers: number[], shape: readonly [number, number, number]): Float32Array {
    const out = new Float32Array(shape[0] * shape[1] * shape[2])
    for (const number of numbers) this.values(number, shape).forEach((value, i) => (out[i] += value / numbers.length))
    return out
  }

  private scratch(width: number, height: number): CanvasRenderingContext2D {
    if (this.kept?.canvas.width !== width || this.kept.canvas.height !== height) {
      this.kept = new OffscreenCanvas(width, height).getContext('2d', {
        willReadFrequently: true,
      }) as unknown as CanvasRenderingContext2D
    }
    return this.kept
  }
}
