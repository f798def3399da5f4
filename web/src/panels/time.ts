// Time travel: what the latent space and reconstructions were like while the model was trained, beside its loss.

import type { App, Panel } from '../app'
import type { Travel } from '../contents'
import { explained, h, number, picture } from '../dom'
import { calm } from '../map/theme'
import { Album } from '../pictures'
import { Clock, slider, tick, type Control } from './controls'
import { curve, frameAt, heightOf, type Drawn } from './curve'
import { sized } from './tiles'

/** What to look for; an autoencoder has no rate. */
function explanation({ contents }: App): string {
  const begin =
    'How the model came about. Before training, all images lie on one heap, and every reconstruction is the same. Then the distortion falls, which is what is lost of an image'
  return contents.model.point
    ? `${begin}, and classes come apart on the map. Details come last.`
    : `${begin}; for that the model pays a rate, which is what it costs to say where an image lies, and classes come apart on the map. Details come last.`
}

/** Seconds of a frame while it is played, and where little motion is wanted. */
const FRAME = 0.4
const CALM = 1.2

export function timePanel(app: App): Panel | null {
  return { tab: 'time', title: 'training', element: new Time(app).element }
}

class Time {
  readonly element: HTMLElement
  private readonly drawn: Drawn
  private readonly plot = h('div', { class: 'plot' })
  private readonly travel: Travel | null

  constructor(private readonly app: App) {
    const { contents, store } = app
    this.travel = contents.travel
    this.drawn = { curves: contents.curves, frames: this.travel?.numbers ?? [], frame: null, log: true, width: 0 }
    this.element = h(
      'div',
      { class: 'time' },
      ...(this.travel ? [new Replay(app, this.travel).element] : [h('p', { class: 'warning' }, NONE)]),
    )
    if (this.travel) this.element.append(new Followed(app, this.travel).element)
    if (contents.curves) this.element.append(this.loss())
    this.element.append(explained(explanation(app)))
    store.on(['frame'], ({ frame }) => {
      this.drawn.frame = frame
      this.draw()
    })
  }

  /** The curve, what its lines are, and the switch of its axis. */
  private loss(): HTMLElement {
    const log = tick('log axis', true, (on) => {
      this.drawn.log = on
      this.draw()
    })
    new ResizeObserver(([{ contentRect }]) => {
      this.drawn.width = Math.floor(contentRect.width)
      this.draw()
    }).observe(this.plot)
    if (this.travel) this.listen()
    this.plot.style.height = `${heightOf(this.drawn)}px`
    const { floor } = this.app.contents.curves ?? {}
    const lines = [
      ['validation', 'validation'],
      ['train', 'training'],
      ...(typeof floor === 'number' ? [['floor', 'least possible']] : []),
      ...(this.travel ? [['frame', 'frames']] : []),
    ]
    const key = lines.map(([kind, name]) => h('span', { class: `key ${kind}` }, name))
    return h('figure', { class: 'loss' }, this.plot, h('figcaption', { class: 'row small' }, ...key, log))
  }

  /** A click or a drag on the curve goes to the nearest frame. */
  private listen(): void {
    const jump = (event: PointerEvent): void =>
      this.app.store.set({ frame: frameAt(this.drawn, event.clientX - this.plot.getBoundingClientRect().left) })
    this.plot.classList.add('live')
    this.plot.addEventListener('pointerdown', (event) => {
      this.plot.setPointerCapture(event.pointerId)
      jump(event)
    })
    this.plot.addEventListener('pointermove', (event) => {
      if (this.plot.hasPointerCapture(event.pointerId)) jump(event)
    })
  }

  private draw(): void {
    if (this.drawn.width > 100) this.plot.replaceChildren(curve(this.drawn))
  }
}

const NONE =
  'This run kept no frames of its training, so there is nothing to replay: it was trained with figures.frames=0, or by an older version.'

/** The slider over frames, what plays it, and the numbers of the frame. */
class Replay {
  readonly element: HTMLElement
  private readonly control: Control<number>
  private readonly numbers = h('p', { class: 'reading', 'aria-live': 'off' })
  private readonly play = h('button', { type: 'button', class: 'play primary', onclick: () => this.toggle() }, 'play')
  private readonly clock = new Clock((seconds) => this.passed(seconds))
  private readonly last: number
  private playing = false
  private waited = 0
  /** The frame to come back to. */
  private kept: number

  constructor(
    private readonly app: App,
    private readonly travel: Travel,
  ) {
    const { store } = app
    this.last = travel.numbers.length - 1
    this.kept = this.last
    this.control = slider(
      'frame',
      [0, this.last, 1],
      (k) => this.when(k),
      (frame) => this.jump(frame),
    )
    this.element = h('div', {}, h('div', { class: 'row' }, this.play, this.control.element), this.numbers)
    store.on(['tab'], ({ tab, frame }) => {
      if (tab === 'time') store.set({ frame: Math.min(frame ?? this.kept, this.last) })
      else this.leave()
    })
    store.on(['frame'], ({ frame }) => frame !== null && this.tell(frame))
  }

  private leave(): void {
    const { frame } = this.app.store.now
    this.run(false)
    this.kept = frame ?? this.kept
    if (frame !== null) this.app.store.set({ frame: null })
  }

  private jump(frame: number): void {
    this.run(false)
    this.app.store.set({ frame })
  }

  private tell(frame: number): void {
    this.control.show(frame)
    const [, , distortion, rate] = this.travel.numbers[frame]
    const parts = [
      distortion === null ? '' : `distortion ${nats(distortion)}`,
      rate === null ? '' : `rate ${nats(rate)}`,
    ]
      .filter(Boolean)
      .join(' + ')
    const sum = distortion !== null && rate !== null ? ` = −ELBO ${nats(distortion + rate)}` : ''
    const of = frame ? 'average of training since the frame before' : 'validation images, before training'
    this.numbers.replaceChildren(`${parts}${sum} nats`, h('small', { class: 'soft' }, of))
    this.numbers.hidden = !parts
  }

  private when(frame: number): string {
    const [step, epoch] = this.travel.numbers[frame]
    return `step ${(step ?? 0).toLocaleString('en')}${epoch === null ? '' : ` · epoch ${number(epoch)}`}`
  }

  private toggle(): void {
    if (!this.playing && this.app.store.now.frame === this.last) this.app.store.set({ frame: 0 })
    this.run(!this.playing)
  }

  private run(on: boolean): void {
    this.playing = on
    this.waited = 0
    this.play.textContent = on ? 'pause' : 'play'
    this.clock.run(on)
  }

  private passed(seconds: number): void {
    this.waited += seconds
    if (this.waited < (calm() ? CALM : FRAME)) return
    this.waited = 0
    const frame = Math.min(this.last, (this.app.store.now.frame ?? -1) + 1)
    this.app.store.set({ frame })
    if (frame === this.last) this.run(false)
  }
}

/** Nats with as many digits as say something. */
const nats = (value: number): string => number(value, Math.abs(value) < 1000 ? 1 : 0)

/** The images that are followed: what they are like, and below what the model made of them at the frame. */
class Followed {
  readonly element = h('div', {
    class: 'followed',
    role: 'group',
    'aria-label': 'images, and their reconstructions at this frame',
  })
  private readonly pairs: HTMLCanvasElement[][] = []
  private made: Album | null = null

  constructor(
    private readonly app: App,
    private readonly travel: Travel,
  ) {
    const { contents, store } = app
    for (let k = 0; k < travel.followed; k++) {
      const name = travel.names[k] || `image ${k + 1}`
      const pair = [...(travel.originals ? [`${name}, original`] : []), `${name}, reconstruction`].map((text) =>
        sized(picture(text), contents.shape, 56),
      )
      this.pairs.push(pair)
      this.element.append(h('figure', {}, ...pair, h('figcaption', { title: name }, name)))
    }
    store.on(['tab', 'frame'], ({ tab, frame }) => {
      if (tab === 'time' && frame !== null) void this.show(frame)
    })
  }

  /** Opens the pictures when they are first wanted: their blocks can be read once. */
  private readonly open = once(async () => {
    const { travel } = this
    this.made = await Album.open(travel.pictures)
    if (!travel.originals) return
    const originals = await Album.open(travel.originals)
    this.pairs.forEach(([original], k) => originals.show(original, k))
  })

  private async show(frame: number): Promise<void> {
    await this.open()
    if (this.app.store.now.frame !== frame) return
    this.pairs.forEach((pair, k) => this.made?.show(pair[pair.length - 1], frame * this.travel.followed + k))
  }
}

/** A function that does its work at its first call. */
function once<T>(make: () => T): () => T {
  let made: { value: T } | null = null
  return () => (made ??= { value: make() }).value
}
