// The colours of points: of their classes, or of a quantity in viridis.

import type { App } from '../app'
import { rgb, viridis, type RGB } from '../colours'
import type { State } from '../store'
import { density } from './density'
import type { Scene } from './scene'

/** What a colour bar tells: the range of colours, the range of the values, and what they are. */
export interface Bar {
  low: number
  high: number
  least: number
  most: number
  title: string
  unit: string
}

const PLAIN: RGB = [63, 144, 218]
const UNKNOWN: RGB = [140, 140, 140]
/** The opacity of points outside of the region that was picked. */
const ASIDE = 40

/** Colours of all points of a scene, (N, 4), of no opacity where a class is switched off. */
export function shade(app: App, scene: Scene, state: State): { colours: Uint8Array; bar: Bar | null } {
  const count = scene.places.length / 2
  const values = scene.frames ? null : quantity(app, scene, state)
  const bar = values && measured(app, values, scene.seen, state.colour)
  const classes = app.contents.colours.map(rgb)
  const named = scene.frames || state.colour === 'class'
  const region = scene.frames || !state.region.length ? null : new Set(state.region)
  const colours = new Uint8Array(4 * count)
  for (let i = 0; i < count; i++) {
    if (!scene.seen(i)) continue
    const label = scene.labels ? scene.labels[i] : -1
    const own =
      values && bar
        ? viridis((values[i] - bar.low) / (bar.high - bar.low || 1))
        : named && scene.labels
          ? (classes[label] ?? UNKNOWN)
          : PLAIN
    colours.set(own, 4 * i)
    colours[4 * i + 3] = !region || region.has(i) ? 255 : ASIDE
  }
  return { colours, bar }
}

function quantity(app: App, scene: Scene, { colour }: State): Float32Array | null {
  return colour === 'density'
    ? density(scene.places, scene.seen, app.data.latents < 2)
    : (app.data.scores[colour] ?? null)
}

/** The colours span all but the hundredth at each end, which would leave little for the rest. */
function measured(app: App, values: Float32Array, seen: (point: number) => boolean, colour: string): Bar {
  const sorted = values.filter((_, i) => seen(i)).sort()
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] ?? 0
  const room = app.data.latents < 2 ? 'length' : 'area'
  const { title, unit } = app.contents.scores[colour] ?? { title: 'density', unit: `images per unit of ${room}` }
  return { low: at(0.01), high: at(0.99), least: at(0), most: at(1), title, unit }
}
