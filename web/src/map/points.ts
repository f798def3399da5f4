// Points as they are drawn: in random order, so that no class hides another, by whichever renderer the browser has.

import type { View } from '../app'
import { h } from '../dom'
import { flat } from './flat'
import { webgl } from './webgl'

/** How all points look now: radius in pixels, and opacity. */
export interface Look {
  radius: number
  alpha: number
}

export interface Renderer {
  /** Places on the plane, (N, 2), in the order of drawing. */
  place(places: Float32Array): void
  /** Colours with their opacity, four bytes each; of no opacity: not drawn. */
  paint(colours: Uint8Array): void
  draw(view: View, look: Look): void
  clear(): void
}

/** The map as a whole has a name, and this layer of it needs none. */
const plain = (): HTMLCanvasElement => h('canvas', { 'aria-hidden': 'true' })

/** Draws with WebGL, or without where there is none or it is lost. */
export class Points {
  canvas: HTMLCanvasElement
  private renderer: Renderer
  private order: Uint32Array = new Uint32Array(0)
  private places: Float32Array = new Float32Array(0)
  private colours: Uint8Array = new Uint8Array(0)

  constructor(private readonly redraw: () => void) {
    this.canvas = plain()
    const found = webgl(this.canvas)
    if (!found) this.canvas = plain()
    this.renderer = found ?? flat(this.canvas)
    if (found) this.canvas.addEventListener('webglcontextlost', () => this.fall())
  }

  place(places: Float32Array): void {
    const count = places.length / 2
    if (this.order.length !== count) this.order = shuffled(count)
    this.places = reordered(places, this.order, new Float32Array(places.length), 2)
    this.renderer.place(this.places)
  }

  paint(colours: Uint8Array): void {
    this.colours = reordered(colours, this.order, new Uint8Array(colours.length), 4)
    this.renderer.paint(this.colours)
  }

  draw(view: View, look: Look): void {
    this.renderer.draw(view, look)
  }

  clear(): void {
    this.renderer.clear()
  }

  /** Goes on without WebGL, on a canvas of its own: one canvas has one kind of context. */
  private fall(): void {
    const canvas = this.canvas.cloneNode() as HTMLCanvasElement
    this.canvas.replaceWith(canvas)
    this.canvas = canvas
    this.renderer = flat(canvas)
    this.renderer.place(this.places)
    this.renderer.paint(this.colours)
    this.redraw()
  }
}

/**
 * Points grow slowly as one zooms in, and are the more transparent the more of them share the room.
 *
 * @param area pixels that most of them lie in
 * @param closer how far the view is zoomed in
 * @param pictures whether they lie over pictures, which they should neither hide nor be lost in
 */
export function look(count: number, area: number, closer: number, pictures: boolean): Look {
  const base = Math.min(5, Math.max(1.4, 9 / count ** 0.16)) * (pictures ? 0.6 : 1)
  const radius = Math.min(8, Math.max(1, base * closer ** 0.4))
  const cover = (count * Math.PI * radius ** 2) / Math.max(area, 1)
  return { radius, alpha: Math.min(0.9, Math.max(0.3, 0.95 / (1 + 0.8 * cover))) }
}

/** The numbers below count in an order that is random, and the same every time. */
function shuffled(count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i)
  let seed = 1
  for (let i = count - 1; i > 0; i--) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    const j = Math.floor((seed / 2 ** 32) * (i + 1))
    const kept = order[i]
    order[i] = order[j]
    order[j] = kept
  }
  return order
}

function reordered<T extends Float32Array | Uint8Array>(rows: T, order: Uint32Array, out: T, width: number): T {
  for (let i = 0; i < order.length; i++) {
    for (let k = 0; k < width; k++) out[width * i + k] = rows[width * order[i] + k]
  }
  return out
}
