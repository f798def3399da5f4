// Draws of the prior: made here where it is the standard normal, else from those that the page was given.

import type { App } from './app'

/** Numbers in [0, 1) that a seed repeats: a counter, and a hash of it. */
export function random(seed: number): () => number {
  let counter = seed | 0
  return () => {
    counter = (counter + 0x9e3779b9) | 0
    let x = counter
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
    return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32
  }
}

/** Standard normal numbers, two at a time (Box and Muller, 1958). */
export function normals(count: number, uniform: () => number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(count)
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()))
    const angle = 2 * Math.PI * uniform()
    out[i] = radius * Math.cos(angle)
    if (i + 1 < count) out[i + 1] = radius * Math.sin(angle)
  }
  return out
}

/** Different numbers below `below` in random order. */
function picks(count: number, below: number, uniform: () => number): number[] {
  const all = Array.from({ length: below }, (_, k) => k)
  for (let k = 0; k < Math.min(count, below); k++) {
    const other = k + Math.floor(uniform() * (below - k))
    ;[all[k], all[other]] = [all[other], all[k]]
  }
  return all.slice(0, count)
}

/** Which of the given temperatures is nearest. */
export const nearestTemperature = (given: number[], wanted: number): number =>
  given.reduce((best, value, k) => (Math.abs(value - wanted) < Math.abs(given[best] - wanted) ? k : best), 0)

/** Draws of the prior at a temperature, which multiplies its scale. */
export function priorDraws(
  { contents, data }: App,
  count: number,
  temperature: number,
  seed: number,
): Float32Array<ArrayBuffer>[] {
  const { latents } = data
  const uniform = random(seed)
  if (contents.prior.standard) {
    return Array.from({ length: count }, () => normals(latents, uniform).map((value) => temperature * value))
  }
  const each = contents.arrays.draws.shape[1]
  const first = each * nearestTemperature(contents.prior.temperatures, temperature)
  return picks(count, each, uniform).map(
    (k) => data.draws.slice((first + k) * latents, (first + k + 1) * latents) as Float32Array<ArrayBuffer>,
  )
}
