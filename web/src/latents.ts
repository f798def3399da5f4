// Latents as rows of numbers: where they may be, what lies near them, and what in their middle.

import type { Contents } from './contents'
import type { Data } from './data'

export type Row = Float32Array<ArrayBuffer>

/** Latents, row by row, brought to where those of the model can be: onto the unit sphere, or to the levels of codes. */
export function settled(z: ArrayLike<number>, { support, latents }: Contents['model']): Row {
  const out = Float32Array.from(z)
  if (support === 'sphere') {
    for (let start = 0; start < out.length; start += latents) unit(out.subarray(start, start + latents))
  } else if (support !== 'all') {
    out.forEach((value, k) => (out[k] = level(place(value, support), support)))
  }
  return out
}

/** The number, from 0, of the level of a code that is nearest to a value. */
export const place = (value: number, levels: number): number =>
  Math.min(levels - 1, Math.max(0, Math.round(((value + 1) * (levels - 1)) / 2)))

/** The value of a level: they lie evenly from -1 to 1. */
export const level = (number: number, levels: number): number => (2 * number) / (levels - 1) - 1

function unit(z: Float32Array): void {
  const length = Math.hypot(...z)
  if (length) z.forEach((value, d) => (z[d] = value / length))
  else z[0] = 1
}

/** Latents on the unit sphere with one of them set: the others keep their direction and share what is left. */
export function turned(z: ArrayLike<number>, d: number, value: number): Row {
  const out = Float32Array.from(z)
  const set = Math.min(1, Math.max(-1, value))
  out[d] = 0
  const rest = Math.hypot(...out)
  const other = Math.sqrt(1 - set * set)
  if (rest) out.forEach((old, k) => (out[k] = (old * other) / rest))
  else if (out.length > 1) out[d ? 0 : 1] = other
  out[d] = set
  return out
}

/** The centre of the posterior of a point. */
export const row = ({ codes, latents }: Data, point: number): Row =>
  codes.slice(point * latents, (point + 1) * latents) as Row

/** The centres of the posteriors of some points, row by row. */
export function rows(data: Data, points: number[]): Row {
  const out = new Float32Array(points.length * data.latents)
  points.forEach((point, k) => out.set(row(data, point), k * data.latents))
  return out
}

/** The mean of the centres of some points. */
export function meanOf({ codes, latents }: Data, points: ArrayLike<number>): Row {
  const out = new Float32Array(latents)
  for (let i = 0; i < points.length; i++) {
    for (let d = 0; d < latents; d++) out[d] += codes[points[i] * latents + d] / points.length
  }
  return out
}

/** The variance of each latent's centres over all points: near 0 where the model makes no use of the latent. */
export function activity({ codes, latents, count, middle }: Omit<Data, 'activity'>): Row {
  const out = new Float32Array(latents)
  for (let i = 0; i < codes.length; i++) out[i % latents] += (codes[i] - middle[i % latents]) ** 2 / count
  return out
}

/**
 * Latents to begin with: as in the middle of all, an image is often a blur of several kinds, the mean of the class
 * whose codes are closest together, of many latents on the plane of the map through the middle; or, without labels,
 * the code of a point of median error.
 */
export function typical(data: Data): Row {
  if (!data.labels) return median(data)
  const z = closest(data, data.labels)
  if (data.latents < 3) return z
  const moved = data.middle.slice() as Row
  for (const axis of [data.axes.subarray(0, data.latents), data.axes.subarray(data.latents)]) {
    const along = z.reduce((sum, value, d) => sum + (value - data.middle[d]) * axis[d], 0)
    axis.forEach((value, d) => (moved[d] += along * value))
  }
  return moved
}

/** The mean of the class with the least variance, of those that are not small. */
function closest(data: Data, labels: Int32Array): Row {
  const classes = new Map<number, number[]>()
  labels.forEach((label, point) => label >= 0 && (classes.get(label)?.push(point) ?? classes.set(label, [point])))
  const enough = data.count / classes.size / 2
  let [best, least] = [data.middle.slice() as Row, Infinity]
  for (const points of classes.values()) {
    const mean = meanOf(data, points)
    const variance = rows(data, points).reduce((sum, value, i) => sum + (value - mean[i % mean.length]) ** 2, 0)
    if (points.length < enough || variance / points.length >= least) continue
    ;[best, least] = [mean, variance / points.length]
  }
  return best
}

function median(data: Data): Row {
  const score = data.scores.error ?? data.scores.distortion ?? new Float32Array(data.count)
  const order = [...score.keys()].sort((a, b) => score[a] - score[b])
  return row(data, order[data.count >> 1])
}

export interface Neighbour {
  point: number
  distance: number
}

/** The points nearest to latents, by Euclidean distance in all of them, the nearest first. */
export function nearest({ codes, latents, count }: Data, z: ArrayLike<number>, most: number, except = -1): Neighbour[] {
  const best: Neighbour[] = []
  for (let point = 0; point < count; point++) {
    let distance = 0
    for (let d = 0; d < latents; d++) distance += (codes[point * latents + d] - z[d]) ** 2
    if (point === except || (best.length === most && distance >= best[most - 1].distance)) continue
    best.splice(best.findLastIndex((one) => one.distance <= distance) + 1, 0, { point, distance })
    best.splice(most)
  }
  return best.map(({ point, distance }) => ({ point, distance: Math.sqrt(distance) }))
}
