// One point: what the encoder says of its image, what the decoder makes of that, and which points lie near.

import type { App, Panel } from '../app'
import { calmly, explained, figure, h, number, picture } from '../dom'
import { normals } from '../draws'
import { type Shadow, shadow, trace } from '../ellipse'
import { distanceNote, draw, labelOf, lacking, pointName, reconstruct, tag, thumbs } from '../points'
import { nearest, row } from '../latents'
import { MOST_ANCHORS } from '../store'
import { type Album, differenceData, show } from '../pictures'

const NEIGHBOURS = 8
const DRAWS = 6

export function pointPanel(app: App): Panel | null {
  const body = h('div', { class: 'stack' })
  const element = h('div', {}, body, explained(explanation(app)))
  let shown: number | null = -1
  const fill = calmly(() => {
    const { selected, tab } = app.store.now
    if (tab !== 'point' || selected === shown) return
    shown = selected
    body.replaceChildren(...(selected === null ? nothing() : all(app, selected)))
  })
  app.store.on(['selected', 'tab'], fill)
  mark(app)
  return { tab: 'point', title: 'point', element }
}

function explanation({ contents: { model } }: App): string {
  if (model.point) {
    return 'The encoder of an autoencoder gives each image one point of the latent space, and the decoder makes the reconstruction from it. Unless the training asks for it, nothing makes the points fill the space evenly, so there can be gaps where nothing sensible is decoded. Neighbours are near in all latents, not just on the map.'
  }
  const seen = model.normal ? ' On the map it is drawn as ellipses of one and two standard deviations.' : ''
  return `For an image the encoder gives no single point but a distribution, the posterior q(z|x): all latents that could have made it.${seen} The distortion is what it costs, in nats, to write the image down once its latents are known; the rate is what the latents cost themselves, as the posterior says more than the prior. Their sum is −ELBO, a bound on the cost of the image. Neighbours are near in all latents, not just on the map.`
}

const nothing = (): Node[] => [
  h('p', { class: 'hint' }, 'Click a dot of the map, or search for an image there, to see all about it.'),
]

function all(app: App, point: number): (Node | string)[] {
  return [
    heading(app, point),
    images(app, point),
    costs(app, point),
    acts(app, point),
    posterior(app, point),
    neighbours(app, point),
  ].filter((part) => part !== null)
}

/** Which point it is, with ways to the one before and after. */
function heading(app: App, point: number): HTMLElement {
  const { count } = app.data
  const step = (by: number, name: string, sign: string): HTMLElement =>
    h('button', { 'aria-label': name, title: name, onclick: (event: MouseEvent) => move(by, event) }, sign)
  const move = (by: number, event: MouseEvent): void => {
    const name = (event.currentTarget as HTMLElement).getAttribute('aria-label')
    const panel = (event.currentTarget as HTMLElement).closest('.stack')
    app.store.set({ selected: (point + by + count) % count })
    // the button is made anew with the next point, and keeps the focus
    requestAnimationFrame(() =>
      requestAnimationFrame(() => panel?.querySelector<HTMLElement>(`[aria-label="${name}"]`)?.focus()),
    )
  }
  return h(
    'div',
    { class: 'row head' },
    h('h2', {}, tag(app, point)),
    h('span', { class: 'steps' }, step(-1, 'previous image', '‹'), step(1, 'next image', '›')),
  )
}

/** The image, what becomes of it, and how they differ. */
function images(app: App, point: number): HTMLElement {
  const { album, engine, contents } = app
  const name = pointName(app, point)
  const [original, made] = [picture(`image of ${name}`), picture(`reconstruction of ${name}`)]
  const difference = picture(`reconstruction less image of ${name}`)
  const [low, high] = [h('span'), h('span')]
  album?.show(original, point)
  void reconstruct(app, point, 'point').then((image) => {
    if (!image || app.store.now.selected !== point) return
    draw(app, made, image)
    if (!album) return
    const real = album.values(point, contents.shape)
    const most = fullColour(image, real)
    show(difference, differenceData(image, real, contents.shape, most))
    low.replaceChildren(number(-most, most < 0.1 ? 2 : 1))
    high.replaceChildren(`+${number(most, most < 0.1 ? 2 : 1)}`)
  })
  const scale = h('span', { class: 'ends number' }, low, high)
  const figures = [
    album && figure(original, 'image'),
    engine && figure(made, 'reconstruction'),
    album && engine && figure(difference, 'difference', h('span', { class: 'diverging' }), scale),
  ]
  const note = album ? (engine ? differenceNote(album) : '') : 'The images are not part of this page.'
  return h(
    'div',
    {},
    h('div', { class: 'pictures trio' }, ...figures),
    h('p', { class: 'soft small' }, lacking(app) || note),
  )
}

/** The difference that has the full colour: the next of a few round numbers. */
function fullColour(made: Float32Array, real: Float32Array): number {
  const most = made.reduce((far, value, i) => Math.max(far, Math.abs(value - real[i])), 0)
  return [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8].find((round) => most <= round) ?? 1
}

const differenceNote = ({ sheets }: Album): string =>
  `Red: the reconstruction is brighter; blue: it is darker; greys are in [0, 1].${sheets.exact ? '' : ' The page holds the image compressed, which adds a little; the numbers below are of the image itself.'}`

/** What the point costs, as a sum, and how that is among all. */
function costs(app: App, point: number): HTMLElement {
  const { distortion, rate, error } = app.data.scores
  const line = (name: string, values: Float32Array | undefined, digits = 1, kind = ''): HTMLElement | null =>
    values
      ? h(
          'tr',
          {},
          h('th', { scope: 'row' }, kind && h('span', { class: `swatch ${kind}`, 'aria-hidden': 'true' }), name),
          h('td', {}, number(values[point], digits)),
          h('td', { class: 'soft' }, `${among(values, point)} of all`),
        )
      : null
  const sum = rate && distortion.map((value, i) => value + rate[i])
  const body = h(
    'tbody',
    {},
    line('−ELBO, nats', sum),
    line('distortion, nats', distortion, 1, rate && 'distortion'),
    line('rate, nats', rate, 1, 'rate'),
    line('error, RMSE', error, 3),
  )
  const head = h(
    'thead',
    {},
    h('tr', {}, h('td'), h('th', { scope: 'col' }, 'this image'), h('th', { scope: 'col' }, 'higher than')),
  )
  return h(
    'div',
    {},
    h('table', {}, head, body),
    rate && distortion[point] > 0 ? split(distortion[point], rate[point]) : null,
  )
}

/** A sum of two as a bar. */
const split = (distortion: number, rate: number): HTMLElement => {
  const share = (100 * distortion) / (distortion + Math.max(0, rate))
  return h(
    'div',
    { class: 'split', role: 'img', 'aria-label': `${Math.round(share)} % of it is distortion` },
    h('span', { style: `width: ${share}%` }),
  )
}

/** The share of all points that have less of something. */
function among(values: Float32Array, point: number): string {
  const below = values.reduce((count, value) => count + Number(value < values[point]), 0)
  return `${number(Math.floor((100 * below) / Math.max(1, values.length - 1)), 0)} %`
}

function acts(app: App, point: number): HTMLElement {
  const { store, data } = app
  const z = [...row(data, point)]
  const anchor = (): void => {
    const anchors = [...store.now.anchors, z].slice(-MOST_ANCHORS)
    store.set({ anchors })
    app.say(`Anchor ${anchors.length} of a walk: ${pointName(app, point)}.`)
  }
  return h(
    'div',
    { class: 'row' },
    h('button', { onclick: anchor }, 'use as anchor of a walk'),
    h('button', { onclick: () => store.set({ z, label: labelOf(app, point), tab: 'decode' }) }, 'move its sliders'),
  )
}

/** What the posterior is, and images of a few of its draws. */
function posterior(app: App, point: number): HTMLElement | null {
  const { contents, data, engine } = app
  if (contents.model.point) return null
  if (!contents.model.normal || !data.scales)
    return h(
      'div',
      {},
      h('h3', {}, 'Posterior'),
      h('p', { class: 'soft' }, `${contents.model.posterior}; only of normal posteriors an ellipse is drawn.`),
    )
  const scale = data.scales.subarray(point * data.latents, (point + 1) * data.latents)
  const centre = row(data, point)
  const said =
    data.latents > 4
      ? `standard deviations from ${number(Math.min(...scale), 2)} to ${number(Math.max(...scale), 2)}`
      : [...centre].map((value, d) => `z${d + 1} = ${number(value, 2)} ± ${number(scale[d], 2)}`).join(', ')
  const canvases = Array.from({ length: DRAWS }, (_, k) =>
    picture(`image decoded at draw ${k + 1} of the posterior`, 'small'),
  )
  const more = async (): Promise<void> => {
    const noise = normals(DRAWS * data.latents, Math.random)
    const drawn = noise.map((value, i) => centre[i % data.latents] + value * scale[i % data.latents])
    const made = await engine?.decode(drawn, 'posterior', labelOf(app, point))
    if (made && app.store.now.selected === point) canvases.forEach((canvas, k) => draw(app, canvas, made, k))
  }
  void more()
  const seen = engine && [
    h('p', { class: 'small' }, 'Decoded at draws from it: the more alike they are, the surer the encoder is.'),
    h('div', { class: 'thumbs' }, ...canvases),
    h('button', { onclick: more }, 'draw again'),
  ]
  return h(
    'div',
    { class: 'stack' },
    h('h3', {}, 'Posterior q(z|x)'),
    h('p', { class: 'soft number' }, said),
    ...(seen ?? []),
  )
}

function neighbours(app: App, point: number): HTMLElement {
  const near = nearest(app.data, row(app.data, point), NEIGHBOURS, point)
  const labels = app.data.labels
  const alike =
    labels && labels[point] >= 0
      ? ` ${near.filter((one) => labels[one.point] === labels[point]).length} of ${near.length} are of its class.`
      : ''
  const title = h('h3', {}, 'Nearest in latent space')
  const said = h(
    'p',
    { class: 'soft small' },
    `By the distance in all ${app.data.latents} latents, given below each.${alike}`,
  )
  return h(
    'div',
    { class: 'stack' },
    title,
    thumbs(
      app,
      near.map((one) => one.point),
      'neighbours',
      near.map(distanceNote),
    ),
    said,
  )
}

/** Marks the selected point on the map, and its posterior where it has an ellipse. */
function mark(app: App): void {
  const { store, data, contents } = app
  app.map.over((context, view) => {
    const { selected } = store.now
    if (selected === null) return
    const centre = app.map.plane.down(row(data, selected))
    const scales =
      contents.model.normal && data.scales?.subarray(selected * data.latents, (selected + 1) * data.latents)
    const one = scales ? shadow(app.map.plane, scales) : null
    for (const deviations of one ? [1, 2] : []) {
      trace(context, view, centre, one as Shadow, deviations)
      twice(context, deviations > 1 ? [5, 4] : [])
    }
    const [left, top] = view.toScreen(...centre)
    const wide = one ? 2 * view.scale * one[0] : 0
    const high = one ? 2 * view.scale * Math.hypot(one[1], one[2]) : 0
    cross(context, left, top, Math.max(6, wide + 3), Math.max(6, high + 3))
    twice(context, [])
  })
  store.on(['selected'], () => app.map.redraw())
}

/** Four short lines towards a place, which they leave free. */
function cross(context: CanvasRenderingContext2D, left: number, top: number, wide: number, high: number): void {
  context.beginPath()
  for (const side of [-1, 1]) {
    context.moveTo(left + side * wide, top)
    context.lineTo(left + side * (wide + 7), top)
    context.moveTo(left, top + side * high)
    context.lineTo(left, top + side * (high + 7))
  }
}

/** A line that is seen on any ground: the colour of text within that of paper. */
function twice(context: CanvasRenderingContext2D, dash: number[]): void {
  const style = getComputedStyle(document.documentElement)
  for (const [colour, width] of [
    ['--paper', 4],
    ['--ink', 1.75],
  ] as const) {
    context.setLineDash(colour === '--ink' ? dash : [])
    context.strokeStyle = style.getPropertyValue(colour)
    context.lineWidth = width
    context.stroke()
  }
  context.setLineDash([])
}
