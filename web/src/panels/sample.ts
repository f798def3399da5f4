// New images: draws of the prior, decoded. A ring on the map shows where one lies; those that are kept have a star there.

import type { App, Panel, View } from '../app'
import { ACCENT } from '../colours'
import { explained, figure, h, number, picture } from '../dom'
import { nearestTemperature, priorDraws } from '../draws'
import { nearest, type Row } from '../latents'
import { imageData, show } from '../pictures'
import { distanceNote, lacking, thumbs } from '../points'
import { slider } from './controls'
import { classChooser } from './decode'
import { Kept } from './kept'
import { decodeAll, sized, Tiles } from './tiles'

/** What samples are, and what the temperature does where there is one. */
function explanation({ contents: { model, prior } }: App): string {
  const begin = 'Nobody has taken these pictures: they are draws of the prior, decoded. Click one to keep it.'
  const free = model.point
    ? ' Unless the training of an autoencoder asks for it, its codes do not follow the prior, and many draws are of places where no image is.'
    : ''
  if (!prior.standard && prior.temperatures.length < 2) return `${begin}${free}`
  const spread = prior.standard ? 'the spread of the draws' : 'the spread of each part of the prior'
  const middle = prior.standard ? 'the middle' : 'the middle of such a part'
  return (
    `${begin}${free} The temperature multiplies ${spread}. Below 1 they stay near ${middle}, where pictures are typical and alike; ` +
    'above 1 they go where there were few images, and pictures get strange.'
  )
}

const GIVEN = 'This prior has draws at the model’s own temperature only.'

export function samplePanel(app: App): Panel | null {
  return {
    tab: 'sample',
    title: 'sample',
    element: app.engine ? new Samples(app).element : h('div', {}, h('p', { class: 'warning' }, lacking(app))),
  }
}

class Samples {
  readonly element: HTMLElement
  private readonly grid: Tiles
  private readonly kept: Kept
  private readonly near: Near
  private readonly seeds = h('input', {
    type: 'number',
    min: 0,
    max: 999999,
    step: 1,
    onchange: () => this.reseed(Math.abs(Math.trunc(Number(this.seeds.value)))),
  })
  private count = 32
  private seed = 1
  private draws: Row[] = []
  private over: Row | null = null
  /** Whether what is seen is of other choices than those of now. */
  private stale = true

  constructor(private readonly app: App) {
    const { contents, store } = app
    this.grid = new Tiles('samples', contents.shape, {
      pick: (k) => this.kept.toggle(this.draws[k]),
      over: (k) => this.look(k === null ? null : this.draws[k]),
    })
    this.kept = new Kept(app, (z, label) => this.look(z, label))
    this.near = new Near(app)
    const count = slider('how many', [16, 64, 8], String, (value) => this.change({ count: value }))
    count.show(this.count)
    this.element = h(
      'div',
      { class: 'sample' },
      this.temperature(),
      count.element,
      this.choices(),
      this.grid.element,
      this.near.element,
      this.kept.element,
      explained(explanation(app)),
    )
    store.on(['temperature', 'label'], () => this.change({}))
    store.on(['tab'], ({ tab }) => (tab === 'sample' ? this.draw() : this.look(null)))
    store.on(['kept'], () => this.press())
    app.map.over((context, view) => this.ring(context, view))
  }

  private temperature(): HTMLElement {
    const { contents, store } = this.app
    const { standard, temperatures } = contents.prior
    if (!standard && temperatures.length < 2) return h('p', { class: 'soft small' }, GIVEN)
    const at = (value: number): number => (standard ? value : temperatures[value])
    const range: [number, number, number] = standard ? [0, 1.5, 0.05] : [0, temperatures.length - 1, 1]
    const control = slider(
      'temperature',
      range,
      (value) => number(at(value), 2),
      (value) => store.set({ temperature: at(value) }),
    )
    store.on(['temperature'], ({ temperature }) =>
      control.show(standard ? temperature : nearestTemperature(temperatures, temperature)),
    )
    return control.element
  }

  /** Other draws, the seed that repeats these, and the class of models that know labels. */
  private choices(): HTMLElement {
    const again = h('button', { type: 'button', onclick: () => this.reseed(this.seed + 1) }, 'draw anew')
    const row = h('div', { class: 'row' }, again, h('label', {}, 'seed', this.seeds), classChooser(this.app))
    this.seeds.value = String(this.seed)
    return row
  }

  private reseed(seed: number): void {
    this.seeds.value = String(seed)
    this.change({ seed })
  }

  private change({ count = this.count, seed = this.seed }: { count?: number; seed?: number }): void {
    Object.assign(this, { count, seed, stale: true })
    this.draw()
  }

  private draw(): void {
    const { app, count } = this
    const { tab, temperature, label } = app.store.now
    if (tab !== 'sample' || !this.stale) return
    this.stale = false
    this.draws = priorDraws(app, count, temperature, this.seed)
    this.grid.resize(this.draws.length, 56, (k) => `sample ${k + 1}`)
    this.press()
    this.near.clear()
    void decodeAll(app, this.draws, 'samples', label, (k, image) => this.grid.show(k, image))
  }

  private press(): void {
    this.grid.press((k) => this.kept.has(this.draws[k]))
  }

  /** Shows where a draw lies, and what lies nearest to it. */
  private look(z: Row | null, label = this.app.store.now.label): void {
    this.over = z
    if (z) {
      // the lens decodes in the class of now, so it would show another picture of other classes
      if (label === this.app.store.now.label) this.app.store.set({ z: [...z] })
      this.near.show(z, label)
    }
    this.app.map.redraw()
  }

  private ring(context: CanvasRenderingContext2D, view: View): void {
    if (!this.over) return
    const [left, top] = view.toScreen(...this.app.map.plane.down(this.over))
    for (const [strokeStyle, lineWidth] of [
      ['#ffffff', 5],
      [ACCENT, 2.5],
    ] as const) {
      context.beginPath()
      context.arc(left, top, 9, 0, 2 * Math.PI)
      Object.assign(context, { strokeStyle, lineWidth })
      context.stroke()
    }
  }
}

/** The sample that is looked at, beside the test image whose latents are nearest to its own. */
class Near {
  readonly element: HTMLElement
  private readonly sample: HTMLCanvasElement
  private readonly beside = h('div')

  constructor(private readonly app: App) {
    this.sample = sized(picture('the sample'), app.contents.shape, 84)
    this.element = h('div', { class: 'sampled' }, figure(this.sample, 'the sample'), this.beside)
    this.clear()
  }

  clear(): void {
    this.element.classList.add('empty')
    this.beside.replaceChildren(
      h('p', { class: 'soft small' }, 'Point at a sample to see where it lies, and which image lies nearest to it.'),
    )
  }

  show(z: Row, label: number): void {
    const { contents, data, engine } = this.app
    const [found] = nearest(data, z, 1)
    this.element.classList.remove('empty')
    const words = h(
      'p',
      { class: 'soft small' },
      `the ${contents.points.split} image whose latents are nearest, and how far they are`,
    )
    this.beside.replaceChildren(thumbs(this.app, [found.point], 'near', [distanceNote(found)]), words)
    void engine
      ?.decode(z, 'sample', label)
      .then((images) => images && show(this.sample, imageData(images, contents.shape)))
  }
}
