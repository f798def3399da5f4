// What one can do on the map, whether by pointer, by key or by the search field.

import type { App } from '../app'
import { row } from '../latents'
import { MOST_ANCHORS } from '../store'
import { named } from './tip'
import type { WorldMapView } from './map'

export class Actions {
  /** Latents that stay when the pointer has left the map: moving it only looks, a click or a drag keeps. */
  private held: number[] | null = null
  private looked: number[] | null = null

  constructor(
    private readonly app: App,
    private readonly map: WorldMapView,
  ) {}

  /** The nearest point that is seen within so many pixels, or nothing. */
  near(left: number, top: number, reach: number): number | null {
    const [x, y] = this.map.view.toPlane(left, top)
    return this.map.nearest?.at(x, y, reach / this.map.view.scale) ?? null
  }

  /** The latents under a place of the screen, the others as they are. */
  under(left: number, top: number): number[] {
    const [x, y] = this.map.view.toPlane(left, top)
    return [...this.map.plane.up(x, y, this.app.store.now.z)]
  }

  hover(left: number, top: number, reach: number): void {
    if (this.map.scene.frames) return
    const hovered = this.near(left, top, reach)
    const { tool, walking } = this.app.store.now
    if (tool !== 'decode' || walking) return this.app.store.set({ hovered })
    this.app.store.set({ hovered, z: this.under(left, top) })
    this.looked = this.app.store.now.z
  }

  enter(): void {
    this.held = this.app.store.now.z
  }

  /** Takes back where the pointer only looked, unless the latents are others by now. */
  leave(): void {
    const back = this.held && this.app.store.now.z === this.looked
    this.app.store.set(back ? { hovered: null, z: this.held as number[] } : { hovered: null })
    this.held = null
  }

  /** Decodes at a place, and goes on with it when the pointer leaves. */
  keep(z: number[]): void {
    this.held &&= z
    this.app.store.set({ z })
  }

  /** Selects a point and puts the crosshair at the centre of its posterior. */
  choose(point: number): void {
    this.keep([...row(this.app.data, point)])
    this.app.store.set({ selected: point, tab: 'point' })
    this.app.say(`${named(this.app, point).join(', ')} is selected`)
  }

  click(left: number, top: number, reach: number): void {
    if (this.map.scene.frames) return
    const point = this.near(left, top, reach)
    if (this.app.store.now.tool === 'anchor') this.anchor(left, top, reach)
    else if (point !== null) this.choose(point)
    else if (this.app.store.now.tool === 'decode') this.keep(this.under(left, top))
  }

  /** Adds an anchor of the walk: the point there, with all of its latents, or the place itself. */
  anchor(left: number, top: number, reach: number): void {
    const { anchors } = this.app.store.now
    if (anchors.length >= MOST_ANCHORS)
      return this.app.say(`A walk has ${MOST_ANCHORS} anchors at most: remove one first`)
    const point = this.near(left, top, Math.min(reach, 5))
    const z = point === null ? this.under(left, top) : [...row(this.app.data, point)]
    this.app.store.set({ anchors: [...anchors, z], tab: 'walk' })
    this.app.say(`Anchor ${anchors.length + 1} of the walk is set`)
  }

  /** The anchor within so many pixels, or -1. */
  anchorAt(left: number, top: number, reach: number): number {
    return this.app.store.now.anchors.findIndex((z) => {
      const [x, y] = this.map.view.toScreen(...this.map.plane.down(z))
      return Math.hypot(x - left, y - top) <= reach
    })
  }

  moveAnchor(which: number, left: number, top: number): void {
    const [x, y] = this.map.view.toPlane(left, top)
    const anchors = this.app.store.now.anchors.map((z, k) => (k === which ? [...this.map.plane.up(x, y, z)] : z))
    this.app.store.set({ anchors })
  }

  /** Picks the points within an outline on the plane. */
  pick(polygon: [number, number][]): void {
    const region = this.map.nearest?.within(polygon) ?? []
    this.map.outline(region.length ? polygon : [])
    this.app.store.set(region.length ? { region, tab: 'region' } : { region })
    this.app.say(
      region.length
        ? `${region.length.toLocaleString('en')} points are in the region`
        : 'There is no point in the region',
    )
  }

  /** The next or previous point that is seen, in the order of the test set. */
  step(by: 1 | -1): void {
    const { count } = this.app.data
    const { seen } = this.map.scene
    if (this.map.scene.frames) return
    let point = this.app.store.now.selected ?? (by > 0 ? -1 : count)
    for (let tries = 0; tries < count; tries++) {
      point = (point + by + count) % count
      if (seen(point)) return this.jump(point)
    }
  }

  /** Selects a point and brings it into sight. */
  jump(point: number): void {
    const { labels } = this.app.data
    const { hidden } = this.app.store.now
    if (labels && hidden.includes(labels[point]))
      this.app.store.set({ hidden: hidden.filter((label) => label !== labels[point]) })
    this.app.store.set({ frame: null })
    this.map.reveal([this.map.scene.places[2 * point], this.map.scene.places[2 * point + 1]])
    this.choose(point)
  }

  clear(): void {
    this.map.outline([])
    this.app.store.set({ region: [], selected: null, hovered: null })
    this.app.say('Nothing is selected')
  }
}
