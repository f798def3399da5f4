// The map: points on the plane, what lies under and over them, and what a pointer or a key does there.
// Four layers: landscape and circles, points, and over them what other parts draw, the crosshair and rings.

import type { App, View, WorldMap } from '../app'
import { h } from '../dom'
import { makePlane, type Plane } from '../plane'
import type { State } from '../store'
import { Actions } from './actions'
import { drawBottom, drawLeft, STRIP } from './axes'
import { gestures } from './gestures'
import { invite } from './invite'
import { keys } from './keys'
import { Landscape } from './landscape'
import { legend, type Legend } from './legend'
import { drawCrosshair, drawLasso, drawPrior, drawRing, drawZero } from './marks'
import { Nearest } from './nearest'
import { look, Points } from './points'
import { frameScene, shownPlane, testScene, type Scene } from './scene'
import { shade } from './shade'
import { calm, onTheme, theme } from './theme'
import { Tip } from './tip'
import { tools } from './tools'
import { between, fit, moved, view, zoomed, type Window } from './view'

type Draw = (context: CanvasRenderingContext2D, view: View) => void
type Layer = 'points' | 'under' | 'over'
type Place = [number, number]

/** Milliseconds that the map takes to move by itself, and points to come near their place in a frame of training. */
const GLIDE = 240
const FOLLOW = 70

const canvas2d = (name: string): HTMLCanvasElement => h('canvas', { class: name, 'aria-hidden': 'true' })
const context = (canvas: HTMLCanvasElement): CanvasRenderingContext2D =>
  canvas.getContext('2d') as CanvasRenderingContext2D

export class WorldMapView implements WorldMap {
  readonly element: HTMLElement
  /** The uppermost layer, which hears pointers and keys. */
  readonly canvas = h('canvas', {
    class: 'map',
    tabindex: 0,
    role: 'application',
    'aria-roledescription': 'map',
    'aria-label': 'map of the latent space',
  })
  readonly actions: Actions
  view: View = view(1, 1, { x: 0, y: 0, scale: 1 })
  plane: Plane
  scene: Scene
  nearest: Nearest | null = null
  /** Whether space is held, which makes any drag pan. */
  spaced = false

  private readonly stage: HTMLElement
  private readonly under = canvas2d('under')
  private readonly left = canvas2d('left')
  private readonly bottom = canvas2d('bottom')
  private readonly points: Points
  private readonly landscape: Landscape
  private readonly legend: Legend
  private readonly tip: Tip
  private readonly overs: Draw[] = []
  private readonly stale = new Set<Layer>()
  private lasso: Place[] = []
  private ratio = 1
  /** The places that points are drawn at, on their way to those of the scene. */
  private drawn = new Float32Array(0)
  private gliding = 0

  constructor(private readonly app: App) {
    const { store } = app
    this.plane = makePlane(app.data, shownPlane(store.now, app.data.latents))
    this.scene = testScene(app, this.plane, store.now.hidden)
    this.actions = new Actions(app, this)
    this.points = new Points(() => this.mark('points'))
    this.landscape = new Landscape(app, () => this.mark('under'))
    this.tip = new Tip(app)
    this.legend = legend(app, this)
    this.stage = h(
      'div',
      { class: 'stage' },
      this.under,
      this.points.canvas,
      this.canvas,
      this.tip.element,
      invite(app),
    )
    const frame = h('div', { class: 'frame' }, this.left, this.stage, this.bottom)
    this.element = h(
      'section',
      { class: 'world', 'aria-label': 'map' },
      tools(app, this),
      frame,
      this.legend.side ?? '',
      this.legend.foot,
    )
    gestures(app, this)
    keys(app, this)
    this.listen()
  }

  over(draw: Draw): void {
    this.overs.push(draw)
    this.redraw()
  }

  redraw(): void {
    this.mark('over')
  }

  pan(right: number, down: number): void {
    this.move(moved(this.view, right, down))
  }

  /** Zooms, by default at the middle, within limits. */
  zoom(factor: number, left = this.view.width / 2, top = this.view.height / 2): void {
    this.move(zoomed(this.view, this.limited(factor), left, top))
  }

  zoomSlowly(factor: number): void {
    this.glide(zoomed(this.view, this.limited(factor), this.view.width / 2, this.view.height / 2))
  }

  /** Shows all points, and forgets where the user has been. */
  all(): void {
    this.glide(this.whole(), () => this.app.store.set({ view: null }))
  }

  /** Moves the map as little as brings a place into sight. */
  reveal(place: Place): void {
    const { width, height } = this.view
    const [left, top] = this.view.toScreen(...place)
    const lack = (at: number, size: number): number => Math.max(0, 24 - at) || Math.min(0, size - 24 - at)
    const [right, down] = [lack(left, width), lack(top, height)]
    if (right || down) this.move(moved(this.view, right, down))
  }

  /** Draws the outline of a region, on the plane. */
  outline(polygon: Place[]): void {
    this.lasso = polygon
    this.redraw()
  }

  toggle(key: 'grid' | 'dots'): void {
    const { store, engine } = this.app
    if (key === 'grid' && !engine) return this.app.say('The model cannot run in this page')
    store.set({ [key]: !store.now[key] })
    this.app.say(`${key === 'grid' ? 'The decoded grid' : 'Points'}: ${store.now[key] ? 'on' : 'off'}`)
  }

  private listen(): void {
    const { store } = this.app
    store.on(['plane', 'frame', 'hidden'], (state) => this.stand(state))
    store.on(['colour', 'hidden', 'region', 'frame', 'plane'], (state) => this.colour(state))
    store.on(['view'], () => this.look())
    store.on(['dots'], () => this.mark('points'))
    store.on(['z', 'label', 'grid'], () => this.mark('over', ...(this.shows() ? ['under' as const] : [])))
    store.on(['grid'], () => this.mark('under', 'points'))
    store.on(['hovered'], ({ hovered }) => this.hover(hovered))
    store.on(['selected', 'anchors', 'kept', 'mine'], () => this.redraw())
    store.on(['region'], ({ region }) => !region.length && this.outline([]))
    store.on(['tool'], ({ tool }) => (this.canvas.dataset.tool = tool))
    onTheme(() => this.mark('points', 'under', 'over'))
    new ResizeObserver(() => this.resize()).observe(this.stage)
  }

  /** The scene anew: other places, or other classes. */
  private stand(state: State): void {
    const { app } = this
    const plane = shownPlane(state, app.data.latents)
    const moved = JSON.stringify(plane) !== this.planeKey
    if (moved) this.plane = makePlane(app.data, plane)
    this.planeKey = JSON.stringify(plane)
    const frames = state.frame !== null && app.data.frames !== null
    const before = this.scene
    this.scene = frames
      ? frameScene(app, state.frame as number, state.hidden)
      : testScene(app, this.plane, state.hidden)
    this.nearest = frames ? null : new Nearest(this.scene.places, this.scene.seen)
    const follow = before.frames && frames && this.drawn.length === this.scene.places.length && !calm()
    if (follow) this.follow()
    else this.points.place((this.drawn = this.scene.places.slice()))
    if (moved) this.outline([])
    this.look()
  }

  private planeKey = ''

  private colour(state: State): void {
    const { colours, bar } = shade(this.app, this.scene, state)
    this.points.paint(colours)
    this.legend.bar(bar)
    this.mark('points')
  }

  private hover(point: number | null): void {
    const shown = this.scene.frames ? null : point
    this.tip.show(shown, this.view, shown === null ? [0, 0] : this.place(shown))
    this.redraw()
  }

  private place(point: number): Place {
    return [this.scene.places[2 * point], this.scene.places[2 * point + 1]]
  }

  private whole(): Window {
    return fit(this.scene.box, this.view.width, this.view.height)
  }

  private limited(factor: number): number {
    const { scale } = this.whole()
    return Math.min(2000 * scale, Math.max(scale / 4, this.view.scale * factor))
  }

  private move(to: Window): void {
    cancelAnimationFrame(this.gliding)
    this.app.store.set({ view: to })
  }

  /** Goes to a window at an even pace, or at once for those who want no motion. */
  private glide(to: Window, done?: () => void): void {
    const [x, y] = this.view.toPlane(this.view.width / 2, this.view.height / 2)
    const from = { x, y, scale: this.view.scale }
    const start = performance.now()
    const step = (): void => {
      const share = calm() ? 1 : Math.min(1, (performance.now() - start) / GLIDE)
      this.move(between(from, to, share * (2 - share)))
      if (share < 1) this.gliding = requestAnimationFrame(step)
      else done?.()
    }
    step()
  }

  /** Moves the drawn points towards those of the scene, a share of the way each time. */
  private follow(): void {
    cancelAnimationFrame(this.following)
    let last = performance.now()
    const step = (now: number): void => {
      const share = 1 - Math.exp(-Math.max(0, now - last) / FOLLOW)
      last = now
      let far = 0
      this.drawn.forEach((value, i) => {
        const way = this.scene.places[i] - value
        far = Math.max(far, Math.abs(way))
        this.drawn[i] = value + share * way
      })
      this.points.place(this.drawn)
      this.mark('points')
      if (far * this.view.scale > 0.2 && this.scene.frames) this.following = requestAnimationFrame(step)
    }
    this.following = requestAnimationFrame(step)
  }

  private following = 0

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.stage
    if (!width || !height) return
    this.ratio = devicePixelRatio
    this.view = { ...this.view, width, height }
    for (const canvas of [this.under, this.points.canvas, this.canvas]) this.size(canvas, width, height)
    this.size(this.left, STRIP, height)
    this.size(this.bottom, width, STRIP)
    this.look()
    // before the next frame, as a canvas is empty after its size has changed
    this.draw()
  }

  private size(canvas: HTMLCanvasElement, width: number, height: number): void {
    Object.assign(canvas, { width: Math.round(width * this.ratio), height: Math.round(height * this.ratio) })
    canvas.getContext('2d')?.setTransform(this.ratio, 0, 0, this.ratio, 0, 0)
  }

  private look(): void {
    const { width, height } = this.view
    this.view = view(width, height, this.app.store.now.view ?? this.whole())
    this.tip.element.hidden = true
    this.mark('points', 'under', 'over')
  }

  private shows(): boolean {
    const { store, engine } = this.app
    return store.now.grid && engine !== null && !this.scene.frames
  }

  private mark(...layers: Layer[]): void {
    if (!this.stale.size && layers.length) requestAnimationFrame(() => this.draw())
    for (const layer of layers) this.stale.add(layer)
  }

  private draw(): void {
    const layers = [...this.stale]
    this.stale.clear()
    if (this.view.width < 2) return
    if (layers.includes('points')) this.drawPoints()
    if (layers.includes('under')) this.drawUnder()
    if (layers.includes('over')) this.drawOver()
  }

  private drawPoints(): void {
    const { box, places } = this.scene
    if (!this.app.store.now.dots) return this.points.clear()
    const { scale } = this.view
    const area = (box.high[0] - box.low[0]) * (box.high[1] - box.low[1]) * scale ** 2 * 0.4
    this.points.draw(this.view, look(places.length / 2, area, scale / this.whole().scale, this.shows()))
  }

  private drawUnder(): void {
    const { width, height } = this.view
    const ink = theme(this.element)
    const [below, origin] = [context(this.under), new Float32Array(this.app.data.latents)]
    below.clearRect(0, 0, width, height)
    if (this.shows()) this.drawLandscape(below)
    else this.landscape.stop()
    if (!this.shows()) drawZero(below, this.view, ink)
    if (this.app.contents.prior.standard)
      drawPrior(below, this.view, this.plane.down(origin), this.app.data.latents < 2, ink, this.shows())
    const [right, up] = this.axes()
    drawBottom(context(this.bottom), this.view, right, ink)
    drawLeft(context(this.left), this.view, up, ink)
  }

  /** What the axes are; frames of many latents are drawn on those of the model that training ended with. */
  private axes(): [string, string] {
    const of = 'of the trained model'
    return this.scene.frames && this.app.data.latents > 2
      ? [`principal axis 1 ${of}`, `principal axis 2 ${of}`]
      : this.plane.names
  }

  private drawLandscape(below: CanvasRenderingContext2D): void {
    const { z, label } = this.app.store.now
    this.landscape.draw(below, this.view, this.ratio)
    this.landscape.want(this.view, this.whole().scale, this.ratio, {
      plane: this.plane,
      at: this.plane.up(0, 0, z),
      label,
    })
  }

  private drawOver(): void {
    const { hovered, z } = this.app.store.now
    const above = context(this.canvas)
    const ink = theme(this.element)
    above.clearRect(0, 0, this.view.width, this.view.height)
    if (this.scene.frames) return // all that follows is of the trained model, whose latents lie elsewhere
    drawLasso(above, this.view, this.lasso, ink)
    for (const draw of this.overs) this.drawOwn(above, draw)
    if (hovered !== null) drawRing(above, this.view, this.place(hovered), ink)
    drawCrosshair(above, this.view, this.plane.down(z), ink)
  }

  /** What another part draws must not change how the rest is drawn. */
  private drawOwn(above: CanvasRenderingContext2D, draw: Draw): void {
    above.save()
    draw(above, this.view)
    above.restore()
  }
}
