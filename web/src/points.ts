// Points as the user meets them: what they are called, what they look like, and rows of small pictures of them.

import type { App } from './app'
import { h, number, picture } from './dom'
import { type Neighbour, row, rows } from './latents'
import { imageData, show } from './pictures'

/** The name of the class of a point, nothing where it is not known. */
export const className = ({ contents, data }: App, point: number): string =>
  contents.classes[data.labels?.[point] ?? -1] ?? ''

/** Which image of the split it is, as in `test image 4,512`. */
export const imageName = ({ contents, data }: App, point: number): string =>
  `${contents.points.split} image ${number(data.index[point], 0)}`

export const pointName = (app: App, point: number): string =>
  [className(app, point), imageName(app, point)].filter(Boolean).join(', ')

/** The colour of a class, as on the map, before its name. */
export const swatch = ({ contents }: App, label: number): HTMLElement =>
  h('span', {
    class: 'swatch',
    style: `background: ${contents.colours[label] ?? 'transparent'}`,
    'aria-hidden': 'true',
  })

/** The name of a point with the colour of its class. */
export function tag(app: App, point: number): HTMLElement {
  const name = className(app, point)
  const known = name ? [swatch(app, app.data.labels?.[point] ?? -1), h('strong', {}, name)] : []
  return h('span', { class: 'tag' }, ...known, h('span', { class: 'soft' }, imageName(app, point)))
}

/** The class that a point is decoded in: what the model itself found, or else was told. */
export function labelOf({ data, store }: App, point: number): number {
  const known = data.predicted?.[point] ?? data.labels?.[point] ?? -1
  return known < 0 ? store.now.label : known
}

/** That nothing is decoded, nothing where the model runs. Why is told above the map. */
export const lacking = ({ engine }: App): string =>
  engine ? '' : 'The model does not run on this page, so nothing is decoded.'

/** What the model makes of a point from the centre of its posterior, on a canvas; its greys, if nothing newer was asked. */
export async function reconstruct(app: App, point: number, slot: string): Promise<Float32Array | null> {
  return (await app.engine?.decode(row(app.data, point), slot, labelOf(app, point))) ?? null
}

/** Draws an image of the model that starts at some place of an array. */
export const draw = ({ contents }: App, canvas: HTMLCanvasElement, images: Float32Array, from = 0): void =>
  show(canvas, imageData(images, contents.shape, from * contents.shape.reduce((a, b) => a * b)))

/**
 * Points as small pictures, each a button that selects it: those of the page, or else what the model makes of them.
 *
 * @param notes what is said of each besides its class
 */
export function thumbs(app: App, points: number[], slot: string, notes: string[] = []): HTMLElement {
  const canvases = points.map((point) => picture(`image of ${pointName(app, point)}`, 'small'))
  const buttons = points.map((point, k) => {
    const said = [className(app, point), notes[k]].filter(Boolean)
    const go = (): void => app.store.set({ selected: point, tab: 'point' })
    const name = [pointName(app, point), notes[k]].filter(Boolean).join(', ')
    return h(
      'button',
      { class: 'thumb', title: name, 'aria-label': name, onclick: go },
      canvases[k],
      ...said.map((text) => h('span', {}, text)),
    )
  })
  if (app.album) points.forEach((point, k) => app.album?.show(canvases[k], point))
  else if (points.length) void made(app, points, canvases, slot)
  return h('div', { class: 'thumbs' }, ...buttons)
}

async function made(app: App, points: number[], canvases: HTMLCanvasElement[], slot: string): Promise<void> {
  const images = await app.engine?.decode(
    rows(app.data, points),
    slot,
    points.map((point) => labelOf(app, point)),
  )
  if (images) canvases.forEach((canvas, k) => draw(app, canvas, images, k))
}

export const distanceNote = ({ distance }: Neighbour): string => number(distance, 2)
