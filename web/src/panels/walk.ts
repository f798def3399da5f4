// The walk: two to four anchors, what lies between them, decoded step by step, and files of it.

import type { App, Panel, View } from '../app'
import { ACCENT } from '../colours'
import { explained, h, number, picture } from '../dom'
import { priorDraws } from '../draws'
import { row, settled, type Row } from '../latents'
import { calm } from '../map/theme'
import { length, pathThrough, sphere, stops, straight, type Leg, type Path } from '../path'
import { imageData, show } from '../pictures'
import { lacking } from '../points'
import { animationGIF, save, sheetPNG } from '../save'
import { MOST_ANCHORS } from '../store'
import { Clock, choice, slider, tick } from './controls'
import { classChooser } from './decode'
import { decodeAll, sized, Tiles } from './tiles'

const HINTS = [
  'Choose two places to walk between, or begin with two that lie apart.',
  'One more, and the walk can begin.',
]

/** Seconds between steps where little motion is wanted. */
const CALM = 0.7

/** How long a saved animation stays at an end, in steps. */
const REST = 4

export function walkPanel(app: App): Panel | null {
  return {
    tab: 'walk',
    title: 'walk',
    element: app.engine ? new Walk(app).element : h('div', {}, h('p', { class: 'warning' }, lacking(app))),
  }
}

class Walk {
  readonly element: HTMLElement
  private readonly list = h('ol', { class: 'anchors', 'aria-label': 'anchors of the walk' })
  private readonly hint = h('p', { class: 'soft small' })
  private readonly canvases: HTMLCanvasElement[] = []
  private readonly tiles: Tiles
  private readonly body = h('div', { class: 'column' })
  private readonly place: HTMLElement & { show(value: number): void }
  private readonly play = h('button', { type: 'button', class: 'play primary', onclick: () => this.toggle() })
  private readonly clock = new Clock((seconds) => this.move(seconds))
  private path: Path | null = null
  private images: Float32Array[] = []
  private at = 0
  private direction = 1
  private waited = 0
  private count = 16
  private speed = 8
  private both = true

  constructor(private readonly app: App) {
    const { store } = app
    this.tiles = new Tiles('steps of the walk', app.contents.shape, { pick: (k) => this.halt(k) })
    const steps = slider('steps', [8, 64, 1], String, (value) => this.resize(value))
    const speed = slider(
      'speed',
      [1, 30, 1],
      (value) => `${value} steps/s`,
      (value) => (this.speed = value),
    )
    steps.show(this.count)
    speed.show(this.speed)
    const place = slider(
      'place',
      [0, 1, 0.001],
      (value) => this.words(value),
      (value) => this.halt(value * (this.count - 1)),
    )
    this.place = Object.assign(place.element, { show: place.show })
    this.body.append(
      h(
        'div',
        { class: 'row' },
        this.play,
        tick('back and forth', this.both, (on) => (this.both = on)),
        classChooser(app),
      ),
      this.place,
      this.tiles.element,
      this.files(),
      steps.element,
      speed.element,
      ...this.route(),
    )
    this.element = h(
      'div',
      { class: 'walk' },
      this.sources(),
      this.hint,
      this.list,
      this.body,
      explained(explanation(app)),
    )
    store.on(['anchors', 'label'], () => void this.anchors())
    store.on(['anchors', 'label', 'route'], () => this.lay())
    store.on(['walking'], ({ walking }) => this.run(walking))
    store.on(['tab'], ({ tab }) => (tab === 'walk' ? app.map.redraw() : this.leave()))
    app.map.over((context, view) => this.draw(context, view))
  }

  /** Buttons that add an anchor. */
  private sources(): HTMLElement {
    const { app } = this
    const { store } = app
    const add = (name: string, latents: () => ArrayLike<number>): HTMLButtonElement =>
      h('button', { type: 'button', onclick: () => this.add(latents()) }, name)
    const onMap = h(
      'button',
      { type: 'button', onclick: () => store.set({ tool: store.now.tool === 'anchor' ? 'decode' : 'anchor' }) },
      'on the map',
    )
    const point = add('selected', () => row(app.data, store.now.selected ?? 0))
    const all = [point, add('here', () => store.now.z), add('random', () => this.random())]
    store.on(['tool'], ({ tool }) => {
      onMap.setAttribute('aria-pressed', String(tool === 'anchor'))
      if (tool === 'anchor') store.set({ tab: 'walk' })
    })
    store.on(['selected', 'anchors'], ({ selected, anchors }) => {
      all.forEach((button) => (button.disabled = anchors.length >= MOST_ANCHORS))
      point.disabled ||= selected === null
    })
    const start = h('button', { type: 'button', class: 'primary', onclick: () => this.example() }, 'show me one')
    store.on(['anchors'], ({ anchors }) => (start.hidden = anchors.length > 0))
    return h('fieldset', {}, h('legend', {}, 'add an anchor'), h('div', { class: 'row' }, onMap, ...all, start))
  }

  /** A walk from where one is to one of the points that lie farthest from there, under way. */
  private example(): void {
    const { store, data } = this.app
    const from = store.now.z
    const far = Array.from({ length: data.count }, (_, point) => point)
      .map((point) => ({ point, gap: row(data, point).reduce((sum, value, d) => sum + (value - from[d]) ** 2, 0) }))
      .sort((a, b) => a.gap - b.gap)
    const { point } = far[Math.floor(0.95 * (far.length - 1))]
    store.set({ anchors: [[...from], [...row(data, point)]], walking: true })
  }

  private random(): Row {
    return priorDraws(this.app, 1, 1, Math.floor(Math.random() * 2 ** 31))[0]
  }

  private add(z: ArrayLike<number>): void {
    const { store } = this.app
    store.set({ anchors: [...store.now.anchors, Array.from(z)] })
  }

  /** Straight or on the sphere, or a word on why there is no choice. */
  private route(): HTMLElement[] {
    const { contents, store } = this.app
    const { support, latents } = contents.model
    if (latents < 2) return []
    if (support !== 'all') return [h('p', { class: 'soft small' }, ROUTES[support === 'sphere' ? 'sphere' : 'levels'])]
    const routes = choice('route', { straight: 'straight', sphere: 'on the sphere' }, (route) => store.set({ route }))
    store.on(['route'], ({ route }) => routes.show(route))
    return [routes.element]
  }

  private files(): HTMLElement {
    const name = (kind: string): string => `${this.app.contents.run}-walk.${kind}`
    const { shape } = this.app.contents
    const strip = async (): Promise<void> => save(name('png'), await sheetPNG(this.images, shape))
    const gif = (): void => save(name('gif'), this.animation())
    return h(
      'div',
      { class: 'row' },
      h('button', { type: 'button', onclick: () => this.whole(strip) }, 'save strip (PNG)'),
      h('button', { type: 'button', onclick: () => this.whole(gif) }, 'save walk (GIF)'),
    )
  }

  /** Does something that needs all pictures. */
  private whole(act: () => unknown): void {
    if (this.images.length === this.count && !this.images.includes(undefined as never)) act()
    else this.app.say('The walk is still being decoded.')
  }

  /** The walk as it is played: its ends are held for a moment. */
  private animation(): Blob {
    const there = this.images.map((_, k) => k)
    const order = this.both ? [...there, ...there.slice(1, -1).reverse()] : there
    const end = this.count - 1
    const delay = (frame: number): number => ((frame === 0 || order[frame] === end ? REST : 1) * 1000) / this.speed
    return animationGIF(this.images, this.app.contents.shape, order, delay)
  }

  /** Lists the anchors with their pictures. */
  private async anchors(): Promise<void> {
    const { app } = this
    const { anchors, label } = app.store.now
    if (anchors.length > MOST_ANCHORS) {
      app.say(`A walk has at most ${MOST_ANCHORS} anchors.`)
      return app.store.set({ anchors: anchors.slice(0, MOST_ANCHORS) })
    }
    this.hint.textContent = HINTS[anchors.length] ?? ''
    this.hint.hidden = anchors.length >= HINTS.length
    // pictures stay until others come, as an anchor may be under way on the map
    if (this.canvases.length !== anchors.length) this.relist(anchors.length)
    await decodeAll(app, places(app), 'anchors', label, (k, image) =>
      show(this.canvases[k], imageData(image, app.contents.shape)),
    )
  }

  private relist(count: number): void {
    while (this.canvases.length < count) this.canvases.push(sized(picture(''), this.app.contents.shape, 56))
    this.canvases.splice(count)
    this.list.replaceChildren(...this.canvases.map((canvas, k) => this.item(canvas, k)))
  }

  /** One anchor: its picture, which goes there, and buttons to move or remove it. */
  private item(canvas: HTMLCanvasElement, k: number): HTMLElement {
    const { store } = this.app
    const act = (sign: string, name: string, off: boolean, run: () => void): HTMLButtonElement => {
      const words = `${name} anchor ${k + 1}`
      return h('button', { type: 'button', 'aria-label': words, title: words, disabled: off, onclick: run }, sign)
    }
    const go = (): void => store.set({ z: store.now.anchors[k] })
    const there = h(
      'button',
      { type: 'button', class: 'tile', title: 'go there', 'aria-label': `go to anchor ${k + 1}`, onclick: go },
      canvas,
    )
    const earlier = act('‹', 'move earlier', k === 0, () => this.swap(k, k - 1, 1))
    const later = act('›', 'move later', k === this.canvases.length - 1, () => this.swap(k, k + 1, 3))
    return h(
      'li',
      {},
      there,
      h(
        'div',
        {},
        earlier,
        act('×', 'remove', false, () => this.remove(k)),
        later,
      ),
    )
  }

  private swap(k: number, other: number, which: number): void {
    const { store } = this.app
    const { anchors } = store.now
    store.set({ anchors: anchors.with(k, anchors[other]).with(other, anchors[k]) })
    this.focus(other, which)
  }

  private remove(k: number): void {
    const { store } = this.app
    store.set({ anchors: store.now.anchors.filter((_, i) => i !== k) })
    this.focus(Math.min(k, store.now.anchors.length - 1), 2)
  }

  /** Keeps the focus on a button of an anchor after the list was made anew, or on its picture where it is off. */
  private focus(k: number, which: number): void {
    const buttons = this.list.children[k]?.querySelectorAll('button')
    const wanted = buttons?.[which]
    ;(wanted?.disabled ? buttons?.[0] : wanted)?.focus()
  }

  /** Lays the path anew, and decodes its steps. */
  private lay(): void {
    const { app } = this
    const anchors = places(app)
    this.path = anchors.length > 1 ? pathThrough(anchors, this.count, leg(app)) : null
    this.body.hidden = !this.path
    if (!this.path) app.store.set({ walking: false })
    app.map.redraw()
    void this.decode(anchors.length)
  }

  private async decode(anchors: number): Promise<void> {
    const { app, path, count } = this
    this.images = []
    if (!path) return
    const at = stops(anchors, count)
    this.tiles.resize(
      count,
      count > 24 ? 28 : 56,
      (k) => `step ${k + 1}${at.includes(k) ? `, anchor ${at.indexOf(k) + 1}` : ''}`,
    )
    this.tiles.mark('anchor', (k) => at.includes(k))
    this.mark(Math.min(this.at, count - 1))
    const rows = Array.from({ length: count }, (_, k) => path(k))
    await decodeAll(app, rows, 'walk', app.store.now.label, (k, image) => {
      this.images[k] = image
      this.tiles.show(k, image)
    })
  }

  private resize(count: number): void {
    this.at *= (count - 1) / (this.count - 1)
    this.count = count
    this.lay()
  }

  /** Goes to a step, which may be broken. */
  private go(step: number): void {
    this.mark(step)
    if (this.path) this.app.store.set({ z: [...this.path(step)] })
  }

  private mark(step: number): void {
    this.at = step
    this.place.show(step / (this.count - 1))
    this.tiles.mark('now', (k) => k === Math.round(step))
    this.app.map.redraw()
  }

  private halt(step: number): void {
    this.app.store.set({ walking: false })
    this.go(step)
  }

  private toggle(): void {
    this.app.store.set({ walking: !this.app.store.now.walking })
  }

  private run(walking: boolean): void {
    const on = walking && this.path !== null
    this.play.textContent = on ? 'pause' : 'play'
    this.clock.run(on)
  }

  private leave(): void {
    if (this.app.store.now.walking) this.app.store.set({ walking: false })
    this.app.map.redraw()
  }

  /** Moves on by the time that has passed. Where little motion is wanted, whole steps follow each other slowly. */
  private move(seconds: number): void {
    this.waited += seconds
    if (calm() && this.waited < CALM) return
    const next = this.at + this.direction * (calm() ? 1 : this.waited * this.speed)
    this.waited = 0
    this.go(this.turned(calm() ? Math.round(next) : next))
  }

  /** Where a step beyond an end comes to lie: it turns there, or begins anew. */
  private turned(step: number): number {
    const last = this.count - 1
    if (!this.both) this.direction = 1
    if (step >= 0 && step <= last) return step
    if (!this.both) return 0
    this.direction = step < 0 ? 1 : -1
    return Math.min(last, Math.max(0, step))
  }

  private words(share: number): string {
    return `${number(share * (this.count - 1) + 1)} of ${this.count}`
  }

  /** Draws the path on the map, its anchors with their numbers, and where it is now. */
  private draw(context: CanvasRenderingContext2D, view: View): void {
    const { tab, tool, anchors } = this.app.store.now
    if (!anchors.length || (tab !== 'walk' && tool !== 'anchor')) return
    const place = (z: ArrayLike<number>): [number, number] => view.toScreen(...this.app.map.plane.down(z))
    const path = this.path
    if (path) {
      line(
        context,
        Array.from({ length: 8 * this.count }, (_, k) => place(path((k / (8 * this.count - 1)) * (this.count - 1)))),
      )
      disc(context, place(path(this.at)), 6, ACCENT)
    }
    anchors.forEach((anchor, k) => {
      const [left, top] = place(anchor)
      disc(context, [left, top], 10, '#ffffff')
      Object.assign(context, {
        fillStyle: '#222222',
        font: '600 12px system-ui, sans-serif',
        textAlign: 'center',
        textBaseline: 'middle',
      })
      context.fillText(String(k + 1), left, top + 0.5)
    })
  }
}

/** Why there is no choice of the route. */
const ROUTES = {
  sphere: 'Latents of this model lie on the unit sphere, and so does the walk.',
  levels:
    'Latents of this model are codes. Nothing lies between two codes: each latent jumps from level to level on the way.',
}

function leg({ contents, store }: App): Leg {
  const { model } = contents
  if (model.support === 'all') return store.now.route === 'sphere' ? sphere : straight
  return model.support === 'sphere' ? sphere : (from, to, share) => settled(straight(from, to, share), model)
}

/** The anchors, where latents of the model can be. */
const places = ({ contents, store }: App): Row[] =>
  store.now.anchors.slice(0, MOST_ANCHORS).map((anchor) => settled(anchor, contents.model))

function line(context: CanvasRenderingContext2D, places: [number, number][]): void {
  context.beginPath()
  places.forEach(([left, top]) => context.lineTo(left, top))
  context.lineJoin = 'round'
  for (const [strokeStyle, lineWidth] of [
    ['#ffffff', 5],
    [ACCENT, 2.5],
  ] as const) {
    Object.assign(context, { strokeStyle, lineWidth })
    context.stroke()
  }
}

function disc(
  context: CanvasRenderingContext2D,
  [left, top]: [number, number],
  radius: number,
  fillStyle: string,
): void {
  context.beginPath()
  context.arc(left, top, radius, 0, 2 * Math.PI)
  Object.assign(context, { fillStyle, strokeStyle: fillStyle === '#ffffff' ? ACCENT : '#ffffff', lineWidth: 2 })
  context.fill()
  context.stroke()
}

/** What a walk is for, and what the sphere: many latents leave the middle empty, as their draws are all about as long. */
function explanation(app: App): string {
  const { latents, support } = app.contents.model
  const begin =
    'The decoder draws what lies between two to four places of the latent space. Where each picture changes a little into the next, the model has learnt the space ' +
    'between its examples, not only the examples.'
  if (support !== 'all' || latents < 2) return begin
  const [far, half] = lengths(app).map((value) => number(value))
  const route =
    `${begin} On the sphere, the direction turns evenly, and the distance from the origin goes evenly from one anchor’s to the next one’s. ` +
    `Draws of the prior are ${far} from the origin on average; halfway along a straight line between two of them it is ${half}`
  return latents < 9
    ? `${route}. With as few latents as here, images lie there as well; with many, the sphere is the better way (Shoemake 1985; White 2016).`
    : `${route}. With so many latents hardly any draw lies there: the decoder has seen little of it, and tends to draw what is average (Shoemake 1985; White 2016).`
}

/** How far draws of the prior are from the origin on average, and the middles of pairs of them. */
function lengths(app: App): [number, number] {
  const draws = priorDraws(app, 200, 1, 0)
  const mean = (values: number[]): number => values.reduce((sum, value) => sum + value / values.length, 0)
  const middles = draws.slice(1).map((draw, k) => straight(draw, draws[k], 0.5))
  return [mean(draws.map(length)), mean(middles.map(length))]
}
