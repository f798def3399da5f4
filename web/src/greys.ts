// What is done with the greys of one image, in [0, 1] and with shape (C, H, W), before the model sees it.

import { border, mean } from './fit'

type Shape = readonly [number, number, number]

/** How many of the values are colours: with two or four channels the last is transparency. */
const colours = ([channels, height, width]: Shape): number => (channels - (channels % 2 ? 0 : 1)) * height * width

/** Light for dark; transparency stays. */
export function negative(greys: Float32Array, shape: Shape): Float32Array {
  const count = colours(shape)
  return greys.map((value, i) => (i < count ? 1 - value : value))
}

/** Pixels drawn as 0 or 1 with the greys as their chances; of the same picture always the same. */
export function binarised(greys: Float32Array): Float32Array {
  let state = 777
  return greys.map((grey) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Number(state / 2 ** 32 < grey)
  })
}

export const rmse = (a: Float32Array, b: Float32Array): number =>
  Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0) / a.length)

/** How light the border of an image is, over its colours. */
export function lightness(greys: Float32Array, shape: Shape): number {
  const [, height, width] = shape
  const size = height * width
  const planes = Array.from({ length: colours(shape) / size }, (_, c) => greys.subarray(c * size, (c + 1) * size))
  return mean(planes.map((plane) => mean(border(plane, width, height))))
}
