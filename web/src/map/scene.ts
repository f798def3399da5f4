// What the map shows: the latents of the test images, or those of validation images at a moment of training.

import type { App } from '../app'
import type { Plane } from '../plane'
import type { State } from '../store'
import { around, type Box } from './view'

export interface Scene {
  /** (N, 2) */
  places: Float32Array
  labels: Int32Array | null
  /** Whether it is of training, whose images have no pictures or scores here. */
  frames: boolean
  /** What all of it takes, through all of training. */
  box: Box
  /** Whether the class of a point is switched on. */
  seen(point: number): boolean
}

export function testScene(app: App, plane: Plane, hidden: number[]): Scene {
  const places = spread(plane.all(app.data.codes), app.data.latents)
  return {
    places,
    labels: app.data.labels,
    frames: false,
    box: around(places),
    seen: switched(app.data.labels, hidden),
  }
}

export function frameScene(app: App, frame: number, hidden: number[]): Scene {
  const { frames, frameLabels, latents } = app.data
  const all = frames ?? new Float32Array(0)
  const [, count] = app.contents.arrays.frames.shape
  const places = spread(all.slice(2 * count * frame, 2 * count * (frame + 1)), latents)
  return {
    places,
    labels: frameLabels,
    frames: true,
    box: around(spread(all, latents)),
    seen: switched(frameLabels, hidden),
  }
}

/** The plane that is shown: frames of training are known on one only. */
export function shownPlane(state: State, latents: number): State['plane'] {
  if (state.frame === null) return state.plane
  return latents > 2 ? 'principal' : [0, 1]
}

function switched(labels: Int32Array | null, hidden: number[]): (point: number) => boolean {
  if (!labels || !hidden.length) return () => true
  const off = new Set(hidden)
  return (point) => !off.has(labels[point])
}

/** With one latent there is no second axis, so points are strewn across a band to be seen apart. */
function spread(places: Float32Array, latents: number): Float32Array {
  if (latents > 1) return places
  const wide = around(places)
  const band = 0.25 * (wide.high[0] - wide.low[0])
  return places.map((value, i) => (i % 2 ? band * (((i * 0.618034) % 1) - 0.5) : value))
}
