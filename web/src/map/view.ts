// How the plane lies on the screen: equal aspect, second axis up, and what zooming and panning make of it.

import type { View } from '../app'
import type { State } from '../store'

/** The middle of what is seen, in units of the plane, and pixels a unit. */
export type Window = NonNullable<State['view']>

/** The least rectangle around places. */
export interface Box {
  low: [number, number]
  high: [number, number]
}

export function view(width: number, height: number, { x, y, scale }: Window): View {
  return {
    width,
    height,
    scale,
    toScreen: (px, py) => [width / 2 + (px - x) * scale, height / 2 - (py - y) * scale],
    toPlane: (left, top) => [x + (left - width / 2) / scale, y - (top - height / 2) / scale],
  }
}

/** The rectangle around places, (N, 2). */
export function around(places: Float32Array): Box {
  const box: Box = { low: [Infinity, Infinity], high: [-Infinity, -Infinity] }
  for (let i = 0; i < places.length; i++) {
    const k = i % 2
    if (places[i] < box.low[k]) box.low[k] = places[i]
    if (places[i] > box.high[k]) box.high[k] = places[i]
  }
  return places.length ? box : { low: [-1, -1], high: [1, 1] }
}

/** The window in which all of a rectangle is seen, with a margin of a twentieth. */
export function fit({ low, high }: Box, width: number, height: number): Window {
  const across = Math.max(high[0] - low[0], 1e-6)
  const up = Math.max(high[1] - low[1], 1e-6)
  const scale = 0.9 * Math.min(width / across, height / up)
  return { x: (low[0] + high[0]) / 2, y: (low[1] + high[1]) / 2, scale: Math.min(Math.max(scale, 1e-6), 1e6) }
}

/** The window of a view after its scale is another, with the place at (left, top) kept where it is. */
export function zoomed(now: View, scale: number, left: number, top: number): Window {
  const [x, y] = now.toPlane(left, top)
  return { x: x - (left - now.width / 2) / scale, y: y + (top - now.height / 2) / scale, scale }
}

/** The window of a view after it was dragged by so many pixels. */
export function moved(now: View, right: number, down: number): Window {
  const [x, y] = now.toPlane(now.width / 2 - right, now.height / 2 - down)
  return { x, y, scale: now.scale }
}

/** The window on the way from one to another; scales go in equal factors. */
export function between(from: Window, to: Window, share: number): Window {
  const mix = (a: number, b: number): number => a + share * (b - a)
  return { x: mix(from.x, to.x), y: mix(from.y, to.y), scale: from.scale * (to.scale / from.scale) ** share }
}
