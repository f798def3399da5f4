// The samples that the user keeps: a row of pictures, stars on the map, and a file.

import type { App, View } from '../app'
import { h } from '../dom'
import type { Row } from '../latents'
import { save, sheetPNG } from '../save'
import { decodeAll, Tiles } from './tiles'

export class Kept {
  readonly element: HTMLElement
  private readonly tiles: Tiles
  private images: Float32Array[] = []

  /** `over` is called with the latents and the class of what the pointer is on. */
  constructor(
    private readonly app: App,
    over: (z: Row | null, label?: number) => void,
  ) {
    const { contents, store } = app
    this.tiles = new Tiles('kept samples', contents.shape, {
      pick: (k) => this.remove(k),
      over: (k) => over(...this.at(k)),
    })
    const file = h('button', { type: 'button', onclick: () => void this.save() }, 'save kept (PNG)')
    const clear = h('button', { type: 'button', onclick: () => store.set({ kept: [], keptLabels: [] }) }, 'clear')
    const title = h('p', { class: 'soft small' })
    this.element = h('section', { class: 'column' }, title, this.tiles.element, h('div', { class: 'row' }, file, clear))
    store.on(['kept', 'keptLabels'], ({ kept }) => {
      title.textContent = kept.length ? `★ ${kept.length} kept; a click takes one out` : '★ Click a sample to keep it.'
      file.disabled = clear.disabled = !kept.length
      void this.show()
      app.map.redraw()
    })
    app.map.over((context, view) => this.stars(context, view))
  }

  has(z: Row): boolean {
    return this.find(z) >= 0
  }

  toggle(z: Row): void {
    const k = this.find(z)
    if (k >= 0) return this.remove(k)
    const { kept, keptLabels, label } = this.app.store.now
    this.app.store.set({ kept: [...kept, [...z]], keptLabels: [...keptLabels, label] })
  }

  private at(k: number | null): [Row | null, number?] {
    const { kept, keptLabels } = this.app.store.now
    return k === null || !kept[k] ? [null] : [Float32Array.from(kept[k]), keptLabels[k]]
  }

  private find(z: Row): number {
    const { kept, keptLabels, label } = this.app.store.now
    return kept.findIndex((one, k) => (keptLabels[k] ?? label) === label && one.every((value, d) => value === z[d]))
  }

  private remove(k: number): void {
    const { kept, keptLabels } = this.app.store.now
    const others = (_: unknown, i: number): boolean => i !== k
    this.app.store.set({ kept: kept.filter(others), keptLabels: keptLabels.filter(others) })
  }

  /** Decodes what is kept, each in the class of its time. */
  private async show(): Promise<void> {
    const { app, tiles } = this
    const { kept, keptLabels, label } = app.store.now
    this.images = []
    tiles.resize(kept.length, 56, (k) => `kept sample ${k + 1}`)
    const rows = kept.map((z) => Float32Array.from(z))
    await decodeAll(
      app,
      rows,
      'kept',
      kept.map((_, k) => keptLabels[k] ?? label),
      (k, image) => {
        this.images[k] = image
        tiles.show(k, image)
      },
    )
  }

  private async save(): Promise<void> {
    const { contents, store } = this.app
    if (this.images.length === store.now.kept.length)
      save(`${contents.run}-samples.png`, await sheetPNG(this.images, contents.shape))
  }

  private stars(context: CanvasRenderingContext2D, view: View): void {
    for (const z of this.app.store.now.kept) star(context, view.toScreen(...this.app.map.plane.down(z)), 11)
  }
}

function star(context: CanvasRenderingContext2D, [left, top]: [number, number], radius: number): void {
  context.beginPath()
  for (let k = 0; k < 10; k++) {
    const far = k % 2 ? 0.42 * radius : radius
    context.lineTo(left + far * Math.sin((k * Math.PI) / 5), top - far * Math.cos((k * Math.PI) / 5))
  }
  context.closePath()
  Object.assign(context, { fillStyle: '#ffffff', strokeStyle: '#222222', lineWidth: 1.5, lineJoin: 'round' })
  context.fill()
  context.stroke()
}
