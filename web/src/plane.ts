// Between latents and the plane of the map: two of the latents, or the principal axes of the codes.

import type { Data } from './data'
import { number } from './dom'
import type { State } from './store'

export interface Plane {
  /** The names of the axes. */
  names: [string, string]
  /** Latents on the plane. */
  down(z: ArrayLike<number>): [number, number]
  /** All rows of codes on the plane, (N, 2). */
  all(codes: Float32Array): Float32Array
  /** The latents at a place of the plane: those of `at`, moved within the plane. */
  up(x: number, y: number, at: ArrayLike<number>): Float32Array<ArrayBuffer>
}

export function makePlane(data: Data, chosen: State['plane']): Plane {
  const { latents, middle, axes } = data
  const unit = (k: number): Float32Array => Float32Array.from({ length: latents }, (_, d) => (d === k ? 1 : 0))
  const principal = chosen === 'principal'
  const [a, b] = principal
    ? [axes.subarray(0, latents), axes.subarray(latents)]
    : [unit(chosen[0]), latents > 1 ? unit(chosen[1]) : new Float32Array(1)]
  const centre = principal ? middle : new Float32Array(latents)
  const dot = (z: ArrayLike<number>, axis: Float32Array, from = 0): number => {
    let sum = 0
    for (let d = 0; d < latents; d++) sum += (z[from + d] - centre[d]) * axis[d]
    return sum
  }
  /** How much of the variance of all codes lies along an axis, in words. */
  const part = (axis: Float32Array): string => {
    let along = 0
    for (let i = 0; i < data.codes.length; i += latents) along += dot(data.codes, axis, i) ** 2 / data.count
    const all = data.activity.reduce((sum, variance) => sum + variance, 0)
    return all ? ` (${number((100 * along) / all, 0)} % of the variance)` : ''
  }
  return {
    names: principal
      ? [`principal axis 1${part(a)}`, `principal axis 2${part(b)}`]
      : [`z${chosen[0] + 1}`, latents > 1 ? `z${chosen[1] + 1}` : ''],
    down: (z) => [dot(z, a), dot(z, b)],
    all(codes) {
      const out = new Float32Array((2 * codes.length) / latents)
      for (let i = 0; i < out.length / 2; i++) {
        out[2 * i] = dot(codes, a, i * latents)
        out[2 * i + 1] = dot(codes, b, i * latents)
      }
      return out
    },
    up(x, y, at) {
      const dx = x - dot(at, a)
      const dy = y - dot(at, b)
      return Float32Array.from({ length: latents }, (_, d) => at[d] + dx * a[d] + dy * b[d])
    },
  }
}
