// Walks through latents: from anchor to anchor along a straight line, or on the sphere, where direction turns evenly and
// length goes evenly from one to the other. Draws of a normal prior of many latents nearly all have length sqrt(D); halfway
// along a line between two of them it is only .7 of that, where the decoder has learnt little.
// Shoemake, Animating rotation with quaternion curves, 1985; White, Sampling generative networks, 2016.

import type { Row } from './latents'

/** The latents after so many steps, which may be broken. */
export type Path = (step: number) => Row

/** How to come from one place to another. */
export type Leg = (from: Row, to: Row, share: number) => Row

export const straight: Leg = (from, to, share) => from.map((value, d) => value + share * (to[d] - value))

const dot = (a: Row, b: Row): number => a.reduce((sum, value, d) => sum + value * b[d], 0)

/** How far latents are from the origin. */
export const length = (a: Row): number => Math.sqrt(dot(a, a))

const scaled = (a: Row, factor: number): Row => a.map((value) => value * factor)

/** The unit vector that is a's part at right angles to a unit vector, or nothing where a has none. */
function across(a: Row, unit: Row): Row | null {
  const along = dot(a, unit)
  const rest = a.map((value, d) => value - along * unit[d])
  const long = length(rest)
  return long > 1e-6 * (length(a) || 1) ? scaled(rest, 1 / long) : null
}

/** An axis on which a vector hardly lies: which way to turn is open between opposite places. */
function anyAxis(a: Row): Row {
  const least = a.reduce((best, value, d) => (Math.abs(value) < Math.abs(a[best]) ? d : best), 0)
  return a.map((_, d) => (d === least ? 1 : 0))
}

export const sphere: Leg = (from, to, share) => {
  const [long, longTo] = [length(from), length(to)]
  if (!long || !longTo || from.length < 2) return straight(from, to, share)
  const [a, b] = [scaled(from, 1 / long), scaled(to, 1 / longTo)]
  const side = across(b, a) ?? across(anyAxis(a), a)
  if (!side) return straight(from, to, share)
  const angle = share * Math.atan2(dot(b, side), dot(a, b))
  const radius = long + share * (longTo - long)
  return a.map((value, d) => radius * (Math.cos(angle) * value + Math.sin(angle) * side[d]))
}

/** The steps at which a walk of so many pictures is at its anchors. */
export const stops = (anchors: number, count: number): number[] =>
  Array.from({ length: anchors }, (_, k) => Math.round((k * (count - 1)) / Math.max(1, anchors - 1)))

/** The path through anchors in so many pictures, from step 0 to count - 1. */
export function pathThrough(anchors: Row[], count: number, leg: Leg): Path {
  const at = stops(anchors.length, count)
  return (step) => {
    const k = Math.min(
      anchors.length - 2,
      Math.max(
        0,
        at.findLastIndex((stop) => stop <= step),
      ),
    )
    return leg(anchors[k], anchors[k + 1], (step - at[k]) / (at[k + 1] - at[k]))
  }
}
