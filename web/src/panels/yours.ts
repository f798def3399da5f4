// The user's own picture: brought to what the model takes, encoded, and held against the test images.

import type { App, Panel } from '../app'
import type { Contents } from '../contents'
import { explained, figure, h, number, picture } from '../dom'
import { shadow, trace } from '../ellipse'
import type { Posterior } from '../engine'
import { border, fitted, mean } from '../fit'
import { listen, pixels } from '../intake'
import { distanceNote, swatch, thumbs } from '../points'
import { nearest } from '../latents'
import { differenceData, imageData, show } from '../pictures'
import { tick } from './controls'
import { pad } from './pad'

const NEIGHBOURS = 8
const BARS = 40

/** How many of the data set's pictures tell how light its borders are. */
const LOOKED_AT = 200

export function yoursPanel(app: App): Panel | null {
  const { engine } = app
  if (!engine) return null
  const { contents, store } = app
  const usual = usualBorder(app)
  const canvases = {
    own: picture('your picture at the size of the model'),
    seen: picture('your picture as the model sees it, each pixel black or white'),
    made: picture('reconstruction of your picture'),
    difference: picture('difference of the two'),
  }
  const error = h('p', { class: 'warning', role: 'alert', hidden: true })
  const hint = h('p', { class: 'small', hidden: true })
  const found = h('div', { class: 'found', 'aria-live': 'polite', hidden: true })
  const turn = tick('invert light and dark', false, (on) => {
    inverted = on
    void look()
  })
  const shown = contents.model.binary ? binarised : (image: Float32Array): Float32Array => image
  let greys: Float32Array<ArrayBuffer> | null = null
  let inverted = false
  let posterior: Posterior | null = null
  let busy = false
  let again = false

  /** Encodes and decodes the picture; while it does, only the newest of what follows is kept. */
  async function look(): Promise<void> {
    again = busy
    if (busy || !greys || !engine) return
    busy = true
    const image = inverted ? negative(greys, contents.shape) : greys
    try {
      const told = await engine.encode(shown(image), 'yours', store.now.label)
      const label = told ? classOf(told, store.now.label) : 0
      const made = told && (await engine.decode(told.mean, 'yours', label))
      if (made) tell(image, told, made)
    } catch (problem) {
      complain(String(problem))
    }
    busy = false
    if (again) void look()
  }

  function tell(image: Float32Array, told: Posterior, made: Float32Array): void {
    posterior = told
    show(canvases.own, imageData(image, contents.shape))
    show(canvases.seen, imageData(shown(image), contents.shape))
    show(canvases.made, imageData(made, contents.shape))
    show(canvases.difference, differenceData(made, image, contents.shape))
    hint.replaceChildren(advice(image, usual, contents.shape))
    hint.hidden = !hint.textContent
    found.hidden = false
    found.replaceChildren(
      ...verdict(app, rmse(made, image)),
      ...probabilities(app, told),
      h('h3', {}, 'nearest test images in the latent space'),
      neighbours(app, told),
      h('div', { class: 'row' }, ...ways(app, told)),
    )
    store.set({ mine: Array.from(told.mean) })
    app.map.redraw()
  }

  function complain(text: string): void {
    error.hidden = !text
    error.textContent = text
    if (text) store.set({ tab: 'yours' })
  }

  async function take(file: Blob, note = ''): Promise<void> {
    try {
      const image = await pixels(file, contents.shape)
      const [, height, width] = contents.shape
      const other = contents.model.fit === 'exact' && (image.width !== width || image.height !== height)
      complain('')
      const notes = [
        note,
        other
          ? `The run takes pictures of ${height} × ${width} pixels only; this one was cropped and scaled to that.`
          : '',
      ]
      if (notes.some(Boolean)) app.say(notes.join(' ').trim())
      store.set({ tab: 'yours' })
      greys = fitted(image, contents)
      await look()
    } catch (problem) {
      complain(`${(problem as Error).message}.`)
    }
  }

  function drawn(image: ImageData): void {
    complain('')
    greys = fitted(image, contents)
    void look()
  }

  listen(
    (file, note) => void take(file, note),
    (why) => complain(`${why}.`),
  )
  app.map.over((context, view) => posterior && store.now.mine && mark(app, posterior, context, view))
  store.on(['label'], () => contents.model.labels === 'given' && void look())
  const figures = [
    figure(canvases.own, contents.model.binary ? 'your picture' : 'as the model sees it'),
    contents.model.binary ? figure(canvases.seen, 'as the model sees it') : null,
    figure(canvases.made, 'reconstruction'),
    figure(canvases.difference, 'difference: red is too light, blue too dark'),
  ]
  const paper = pad(contents.shape, usual === null || usual < 0.5, drawn)
  const pictures = h('div', { class: 'pictures' }, paper, h('div', { class: 'pictures' }, ...figures))
  const element = h(
    'div',
    { class: 'yours' },
    explained(words(contents)),
    chooser(take),
    error,
    pictures,
    classChooser(app),
    turn,
    hint,
    found,
  )
  return { tab: 'yours', title: 'your image', element }
}

/** What the panel shows, in plain words. */
const words = ({ model }: Contents): string =>
  'Your picture is cut and scaled as the images of the run were' +
  (model.binary ? ', and each pixel drawn black or white by its grey' : '') +
  '. The encoder says where in the latent space it may lie, and the decoder makes an image of that place. Every picture ' +
  'lands somewhere, also one unlike all training images: then the reconstruction looks like these instead of yours, and ' +
  'its error is large. A small error proves less, as plain pictures are easy to copy.'

/** A button that opens the system's choice of files. */
function chooser(take: (file: Blob) => Promise<void>): HTMLElement {
  const input = h('input', { type: 'file', accept: 'image/*', class: 'unseen', onchange: chosen })
  function chosen(): void {
    const file = input.files?.[0]
    input.value = '' // so that the same file can be chosen again
    if (file) void take(file)
  }
  return h(
    'div',
    { class: 'row' },
    h('label', { class: 'button' }, input, 'choose a picture'),
    h('span', { class: 'soft' }, 'or drop, paste or draw one'),
  )
}

/** The class that the model is told, where it wants one. */
function classChooser({ contents, store }: App): HTMLElement | null {
  if (contents.model.labels !== 'given') return null
  const select = h(
    'select',
    { onchange: () => store.set({ label: Number(select.value) }) },
    ...contents.classes.map((name, k) => h('option', { value: k }, name)),
  )
  store.on(['label'], ({ label }) => (select.value = String(label)))
  return h('label', {}, 'class that the model is told', select)
}

/** The class to decode in: what the encoder holds most probable, or what the user has chosen. */
const classOf = ({ probabilities }: Posterior, chosen: number): number =>
  probabilities ? probabilities.indexOf(Math.max(...probabilities)) : chosen

/** Light for dark; transparency stays. */
function negative(greys: Float32Array, [channels, height, width]: readonly number[]): Float32Array {
  const clear = channels % 2 === 0 ? (channels - 1) * height * width : greys.length
  return greys.map((value, i) => (i < clear ? 1 - value : value))
}

/** Pixels drawn as 0 or 1, as the model was shown them: of the same picture always the same. */
function binarised(greys: Float32Array): Float32Array {
  let state = 777
  return greys.map((grey) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Number(state / 2 ** 32 < grey)
  })
}

const rmse = (a: Float32Array, b: Float32Array): number =>
  Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0) / a.length)

/** How light the borders of the data set's pictures are, from 0 to 1; nothing where the page holds none of them. */
function usualBorder({ album, data, contents: { shape } }: App): number | null {
  if (!album) return null
  const step = Math.ceil(data.count / LOOKED_AT)
  const chosen = Array.from({ length: Math.ceil(data.count / step) }, (_, k) => k * step)
  return lightness(album.mean(chosen, shape), shape)
}

/** How light the border of an image is, over its colours. */
function lightness(image: Float32Array, [channels, height, width]: readonly number[]): number {
  const size = height * width
  const colours = channels - (channels % 2 ? 0 : 1)
  return mean(
    Array.from({ length: colours }, (_, c) => mean(border(image.subarray(c * size, (c + 1) * size), width, height))),
  )
}

/** Whether to invert, where the border says so. The user decides. */
function advice(image: Float32Array, usual: number | null, shape: readonly number[]): string {
  if (usual === null || Math.abs(usual - 0.5) < 0.2) return ''
  const here = lightness(image, shape)
  const nearer = Math.abs(1 - here - usual) + 0.2 < Math.abs(here - usual)
  const [own, theirs] = usual < 0.5 ? ['light', 'dark'] : ['dark', 'light']
  return nearer
    ? `The border of this picture is ${own}, while those of the data set are ${theirs}: try “invert light and dark”.`
    : ''
}

/** How unusual an error of reconstruction is among those of the test images, in words and as a histogram. */
function verdict({ data, contents }: App, error: number): HTMLElement[] {
  const errors = data.scores.error
  const larger = errors.reduce((count, one) => count + Number(one > error), 0) / errors.length
  const word = larger >= 0.1 ? 'Typical' : larger >= 0.01 ? 'Unusual' : 'Very unusual'
  const share =
    larger > 0 && larger < 0.001
      ? 'Fewer than 0.1 %'
      : `${number(100 * larger, larger < 0.1 || larger > 0.99 ? 1 : 0)} %`
  const text = `: reconstruction error ${number(error, 3)} (${contents.scores.error.unit}). ${larger ? share : 'None'} of the ${number(errors.length, 0)} ${contents.points.split} images have a larger one.`
  return [h('p', { class: 'verdict' }, h('strong', {}, word), text), histogram(errors, error)]
}

/** How often errors occur, and where one lies among them. */
function histogram(errors: Float32Array, own: number): HTMLElement {
  const top = Math.max(
    own,
    errors.reduce((a, b) => Math.max(a, b)),
  )
  const counts = new Array<number>(BARS).fill(0)
  for (const error of errors) counts[Math.min(BARS - 1, Math.floor((BARS * error) / top))]++
  const most = Math.max(...counts)
  const bars = counts.map((count) => h('i', { style: `height: ${(100 * count) / most}%` }))
  const label = `histogram of the errors of the test images from 0 to ${number(top, 2)}; yours is ${number(own, 3)}`
  const marker = h('b', { style: `left: ${(100 * own) / top}%` })
  const scale = h(
    'div',
    { class: 'scale small soft' },
    h('span', {}, '0'),
    h('span', {}, 'error of test images; the line is yours'),
    h('span', {}, number(top, 2)),
  )
  return h('div', {}, h('div', { class: 'histogram', role: 'img', 'aria-label': label }, ...bars, marker), scale)
}

/** The classes that the encoder holds most probable. */
function probabilities(app: App, { probabilities: given }: Posterior): HTMLElement[] {
  if (!given) return []
  const order = [...given.keys()].sort((a, b) => given[b] - given[a]).slice(0, 5)
  const rows = order.map((k) =>
    h(
      'tr',
      {},
      h('th', { scope: 'row' }, swatch(app, k), ' ', app.contents.classes[k]),
      h('td', {}, `${number(100 * given[k], 1)} %`),
    ),
  )
  return [h('h3', {}, 'the class that the model sees'), h('table', {}, h('tbody', {}, ...rows))]
}

function neighbours(app: App, { mean: z }: Posterior): HTMLElement {
  const near = nearest(app.data, z, NEIGHBOURS)
  return thumbs(
    app,
    near.map(({ point }) => point),
    'yours-near',
    near.map(distanceNote),
  )
}

/** What can be done with the place that was found. */
function ways({ store, map }: App, { mean: z }: Posterior): HTMLElement[] {
  const here = Array.from(z)
  const [x, y] = map.plane.down(here)
  const find = (): void => store.set({ view: { x, y, scale: map.view.scale } })
  const walk = (): void => store.set({ anchors: [...store.now.anchors.slice(-3), here], tab: 'walk' })
  return [
    h('button', { onclick: find }, 'find it on the map'),
    h('button', { onclick: () => store.set({ z: here, tab: 'decode' }) }, 'decode from here'),
    h('button', { onclick: walk }, 'walk from here'),
  ]
}

/** The picture on the map: a cross in a ring, and one and two deviations of its posterior. */
function mark(
  { map, contents, store }: App,
  { scale }: Posterior,
  context: CanvasRenderingContext2D,
  view: App['map']['view'],
): void {
  const place = map.plane.down(store.now.mine ?? [])
  const [left, top] = view.toScreen(...place)
  const colours = getComputedStyle(document.body)
  const stroked = (width: number, path: () => void): void => {
    path()
    for (const [name, more] of [
      ['--paper', 2],
      ['--ink', 0],
    ] as const) {
      Object.assign(context, { strokeStyle: colours.getPropertyValue(name), lineWidth: width + more })
      context.stroke()
    }
  }
  context.save()
  if (scale && contents.model.normal) {
    const one = shadow(map.plane, scale)
    for (const deviations of [1, 2]) stroked(1.25, () => trace(context, view, place, one, deviations))
  }
  stroked(2, () => {
    context.beginPath()
    context.arc(left, top, 7, 0, 2 * Math.PI)
    for (const y of [-5, 5]) {
      context.moveTo(left - 5, top - y)
      context.lineTo(left + 5, top + y)
    }
  })
  context.restore()
}
