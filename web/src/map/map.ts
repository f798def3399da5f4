// The map: points on the plane, what lies under and over them, and what a pointer or a key does there.

import type { App, View, WorldMap } from '../app'
import { h } from '../dom'
import { makePlane, type Plane } from '../plane'

export class WorldMapView implements WorldMap {
  readonly element: HTMLElement
  view: View
  plane: Plane
  private readonly canvas = h('canvas', { class: 'map', tabindex: 0 })
  private readonly overs: ((context: CanvasRenderingContext2D, view: View) => void)[] = []

  constructor(private readonly app: App) {
    this.plane = makePlane(app.data, app.store.now.plane)
    this.element = h('section', { class: 'world' }, this.canvas)
    this.view = view(800, 600, 0, 0, 80)
    this.canvas.addEventListener('pointermove', (event) => {
      const [x, y] = this.view.toPlane(event.offsetX, event.offsetY)
      app.store.set({ z: [...this.plane.up(x, y, app.store.now.z)] })
    })
  }

  over(draw: (context: CanvasRenderingContext2D, view: View) => void): void {
    this.overs.push(draw)
  }

  redraw(): void {
    Object.assign(this.canvas, { width: this.view.width, height: this.view.height })
    const context = this.canvas.getContext('2d') as CanvasRenderingContext2D
    const { data, contents } = this.app
    const places = this.plane.all(data.codes)
    for (let i = 0; i < data.count; i++) {
      const [left, top] = this.view.toScreen(places[2 * i], places[2 * i + 1])
      context.fillStyle = data.labels ? contents.colours[data.labels[i]] : '#3f90da'
      context.fillRect(left - 1, top - 1, 2, 2)
    }
    for (const draw of this.overs) draw(context, this.view)
  }
}

export function view(width: number, height: number, x: number, y: number, scale: number): View {
  return {
    width,
    height,
    scale,
    toScreen: (px, py) => [width / 2 + (px - x) * scale, height / 2 - (py - y) * scale],
    toPlane: (left, top) => [x + (left - width / 2) / scale, y - (top - height / 2) / scale],
  }
}
