// The user's own picture: brought to what the model takes, encoded, and held against the test images.

import type { App, Panel, View } from '../app'
import type { Contents } from '../contents'
import { explained, figure, h, number, picture } from '../dom'
import { shadow, trace } from '../ellipse'
import type { Engine, Posterior } from '../engine'
import { fitted } from '../fit'
import { binarised, lightness, negative, rmse } from '../greys'
import { listen, pixels } from '../intake'
import { nearest } from '../latents'
import { differenceData, imageData, show } from '../pictures'
import { distanceNote, swatch, thumbs } from '../points'
import { MOST_ANCHORS } from '../store'
import { tick } from './controls'
import { classChooser } from './decode'
import { Pad } from './pad'
import { histogram, verdict } from './unusual'

const NEIGHBOURS = 8
const CLASSES = 5

/** How many of the data set's pictures tell how light its borders are. */
const LOOKED_AT = 200

export function yoursPanel(app: App): Panel | null {
  return app.engine && { tab: 'yours', title: 'your image', element: new Yours(app, app.engine).element }
}

class Yours {
  readonly element: HTMLElement
  private readonly own = picture('your picture at the size of the model')
  private readonly seen = picture('your picture as the model sees it, each pixel black or white')
  private readonly made = picture('reconstruction of your picture')
  private readonly difference = picture('difference of your picture and its reconstruction')
  private readonly problem = h('p', { class: 'warning', role: 'alert', hidden: true })
  private readonly hint = h('p', { class: 'small', hidden: true })
  private readonly verdict = h('p', { class: 'verdict', 'aria-live': 'polite' })
  private readonly found = h('div', { class: 'found' })
  /** How light the borders of the data set's pictures are; nothing where the page holds none of them. */
  private readonly usual: number | null
  private greys: Float32Array | null = null
  private inverted = false
  private posterior: Posterior | null = null
  private busy = false
  private again = false

  constructor(
    private readonly app: App,
    private readonly engine: Engine,
  ) {
    const { contents, store, map } = app
    this.usual = usualBorder(app)
    this.element = h(
      'div',
      { class: 'yours' },
      explained(words(contents)),
      chooser((file) => this.take(file)),
    )
    this.element.append(this.problem, this.pictures())
    this.element.append(chooserOfClass(app) ?? '', this.invert(), this.hint, this.verdict, this.found)
    listen(
      (file, note) => void this.take(file, note),
      (why) => this.complain(why),
    )
    map.over((context, view) => this.mark(context, view))
    store.on(['label'], () => contents.model.labels === 'given' && void this.look())
  }

  private pictures(): HTMLElement {
    const { shape, model } = this.app.contents
    const pad = new Pad(shape, this.usual === null || this.usual < 0.5, (image) => this.draw(image))
    const seen = model.binary ? [figure(this.seen, 'as the model sees it')] : []
    const figures = [
      figure(this.own, model.binary ? 'your picture' : 'as the model sees it'),
      ...seen,
      figure(this.made, 'reconstruction'),
      figure(this.difference, 'difference: red is too light, blue too dark'),
    ]
    return h('div', { class: 'pictures' }, pad.element, h('div', { class: 'pictures' }, ...figures))
  }

  private invert(): HTMLElement {
    return tick('invert light and dark', false, (on) => {
      this.inverted = on
      void this.look()
    })
  }

  /** Reads a picture that was dropped, pasted or chosen. */
  private async take(file: Blob, note = ''): Promise<void> {
    const { contents, store, say } = this.app
    try {
      const image = await pixels(file, contents.shape)
      this.complain('')
      const said = `${note} ${refitted(image, contents)}`.trim()
      if (said) say(said)
      store.set({ tab: 'yours' })
      this.greys = fitted(image, contents)
      await this.look()
    } catch (error) {
      this.complain((error as Error).message)
    }
  }

  private draw(image: ImageData): void {
    this.complain('')
    this.greys = fitted(image, this.app.contents)
    void this.look()
  }

  /** Tells in one line why there is no picture, or takes that back. */
  private complain(why: string): void {
    this.problem.hidden = !why
    this.problem.textContent = why && `${why}.`
    if (why) this.app.store.set({ tab: 'yours' })
  }

  /** Encodes and decodes the picture. What comes meanwhile waits, and only the newest of it is looked at. */
  private async look(): Promise<void> {
    this.again = this.busy
    if (this.busy || !this.greys) return
    this.busy = true
    try {
      await this.encode(this.inverted ? negative(this.greys, this.app.contents.shape) : this.greys)
    } catch (error) {
      this.complain((error as Error).message)
    }
    this.busy = false
    if (this.again) void this.look()
  }

  private async encode(image: Float32Array): Promise<void> {
    const { contents, store } = this.app
    const seen = contents.model.binary ? binarised(image) : image
    const posterior = await this.engine.encode(seen, 'yours', store.now.label)
    const made = posterior && (await this.engine.decode(posterior.mean, 'yours', classOf(posterior, store.now.label)))
    if (!made) return
    this.posterior = posterior
    show(this.own, imageData(image, contents.shape))
    show(this.seen, imageData(seen, contents.shape))
    show(this.made, imageData(made, contents.shape))
    show(this.difference, differenceData(made, image, contents.shape))
    this.tell(image, posterior, rmse(made, image))
  }

  private tell(image: Float32Array, posterior: Posterior, error: number): void {
    const { app } = this
    this.hint.textContent = advice(image, this.usual, app.contents.shape)
    this.hint.hidden = !this.hint.textContent
    const [word, reason] = verdict(app, error)
    this.verdict.replaceChildren(h('strong', {}, word), `: ${reason}`)
    this.found.replaceChildren(
      histogram(app, error),
      ...probabilities(app, posterior),
      h('h3', {}, `nearest ${app.contents.points.split} images in the latent space`),
      neighbours(app, posterior),
      ways(app, posterior),
    )
    app.store.set({ mine: Array.from(posterior.mean) })
    app.map.redraw()
  }

  /** The picture on the map: a cross in a ring, and one and two deviations of its posterior. */
  private mark(context: CanvasRenderingContext2D, view: View): void {
    const { map, contents, store } = this.app
    if (!this.posterior || !store.now.mine) return
    const { scale } = this.posterior
    const place = map.plane.down(store.now.mine)
    context.save()
    if (scale && contents.model.normal) {
      const one = shadow(map.plane, scale)
      for (const deviations of [1, 2]) stroked(context, 1.25, () => trace(context, view, place, one, deviations))
    }
    stroked(context, 2, () => cross(context, ...view.toScreen(...place)))
    context.restore()
  }
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
  const button = h('label', { class: 'button' }, input, 'choose a picture')
  return h('div', { class: 'row' }, button, h('span', { class: 'soft' }, 'or drop, paste or draw one'))
}

/** The class that the model is told, where it wants one. */
const chooserOfClass = (app: App): HTMLElement | null =>
  app.contents.model.labels === 'given' ? classChooser(app, 'class that the model is told') : null

/** Says so where the run itself would have refused a picture of this size. */
function refitted({ width, height }: ImageData, { shape, model }: Contents): string {
  if (model.fit !== 'exact' || (width === shape[2] && height === shape[1])) return ''
  return `The run takes pictures of ${shape[1]} × ${shape[2]} pixels only; this one was cropped and scaled to that.`
}

/** The class to decode in: what the encoder holds most probable, or what the user has chosen. */
const classOf = ({ probabilities }: Posterior, chosen: number): number =>
  probabilities ? probabilities.indexOf(Math.max(...probabilities)) : chosen

function usualBorder({ album, data, contents: { shape } }: App): number | null {
  if (!album) return null
  const step = Math.ceil(data.count / LOOKED_AT)
  const chosen = Array.from({ length: Math.ceil(data.count / step) }, (_, k) => k * step)
  return lightness(album.mean(chosen, shape), shape)
}

/** Whether to invert, where the border says so. The user decides. */
function advice(image: Float32Array, usual: number | null, shape: Contents['shape']): string {
  if (usual === null || Math.abs(usual - 0.5) < 0.2) return ''
  const here = lightness(image, shape)
  if (Math.abs(1 - here - usual) + 0.2 >= Math.abs(here - usual)) return ''
  const [own, theirs] = usual < 0.5 ? ['light', 'dark'] : ['dark', 'light']
  return `The border of this picture is ${own}, while those of the data set are ${theirs}: try “invert light and dark”.`
}

/** The classes that the encoder holds most probable. */
function probabilities(app: App, { probabilities: given }: Posterior): HTMLElement[] {
  if (!given) return []
  const order = [...given.keys()].sort((a, b) => given[b] - given[a]).slice(0, CLASSES)
  const rows = order.map((k) => {
    const name = h('th', { scope: 'row' }, swatch(app, k), ' ', app.contents.classes[k])
    return h('tr', {}, name, h('td', {}, `${number(100 * given[k], 1)} %`))
  })
  return [h('h3', {}, 'the class that the model sees'), h('table', {}, h('tbody', {}, ...rows))]
}

function neighbours(app: App, { mean: z }: Posterior): HTMLElement {
  const near = nearest(app.data, z, NEIGHBOURS)
  const points = near.map(({ point }) => point)
  return thumbs(app, points, 'yours-near', near.map(distanceNote))
}

/** What can be done with the place that was found. */
function ways({ store, map }: App, { mean: z }: Posterior): HTMLElement {
  const here = Array.from(z)
  const find = (): void => {
    const [x, y] = map.plane.down(here)
    store.set({ view: { x, y, scale: map.view.scale } })
  }
  const decode = (): void => store.set({ z: here, tab: 'decode' })
  const walk = (): void => store.set({ anchors: [...store.now.anchors, here].slice(-MOST_ANCHORS), tab: 'walk' })
  const all = { 'find it on the map': find, 'decode from here': decode, 'walk from here': walk }
  return h('div', { class: 'row' }, ...Object.entries(all).map(([name, go]) => h('button', { onclick: go }, name)))
}

/** Strokes a path twice, so that it is seen on light and on dark. */
function stroked(context: CanvasRenderingContext2D, width: number, path: () => void): void {
  const colours = getComputedStyle(document.body)
  path()
  for (const [name, more] of [
    ['--paper', 2],
    ['--ink', 0],
  ] as const) {
    Object.assign(context, { strokeStyle: colours.getPropertyValue(name), lineWidth: width + more })
    context.stroke()
  }
}

function cross(context: CanvasRenderingContext2D, left: number, top: number): void {
  context.beginPath()
  context.arc(left, top, 7, 0, 2 * Math.PI)
  for (const y of [-5, 5]) {
    context.moveTo(left - 5, top - y)
    context.lineTo(left + 5, top + y)
  }
}
