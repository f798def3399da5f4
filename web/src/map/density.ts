// How many points share the room around each: a histogram in the plane, or along the line of a single latent, blurred.

import { around } from './view'

const CELLS = 160
const BLUR = 2

/**
 * Points a unit of area at each point that is seen, (N,); 0 for the others.
 *
 * @param line whether only the first axis counts, and a unit of length is meant
 */
export function density(places: Float32Array, seen: (point: number) => boolean, line: boolean): Float32Array {
  const { low, high } = around(places)
  const size = Math.max(high[0] - low[0], high[1] - low[1], 1e-6) / (CELLS - 1)
  const count = places.length / 2
  const cell = (i: number): number =>
    (line ? 0 : Math.round((places[2 * i + 1] - low[1]) / size) * CELLS) + Math.round((places[2 * i] - low[0]) / size)
  let grid = new Float32Array(CELLS * CELLS)
  for (let i = 0; i < count; i++) if (seen(i)) grid[cell(i)]++
  // three times a box is close to a normal curve
  for (let k = 0; k < 3; k++) grid = line ? boxed(grid, 1) : boxed(boxed(grid, 1), CELLS)
  const room = line ? size : size ** 2
  return Float32Array.from({ length: count }, (_, i) => (seen(i) ? grid[cell(i)] / room : 0))
}

/** Means over a few neighbours along one axis of the grid. */
function boxed(grid: Float32Array, stride: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(grid, (_, at) => {
    const place = Math.floor(at / stride) % CELLS
    let sum = 0
    for (let k = Math.max(-BLUR, -place); k <= Math.min(BLUR, CELLS - 1 - place); k++) sum += grid[at + k * stride]
    return sum / (2 * BLUR + 1)
  })
}
