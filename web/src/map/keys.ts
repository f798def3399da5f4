// All of the map by keyboard: arrows move the crosshair, whose place is decoded, and letters do what buttons do.

import type { App } from '../app'
import type { WorldMapView } from './map'

const STEP = 10
const REACH = 1e4
const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
}

export const KEYS: [string, string][] = [
  ['arrows', 'move the crosshair, whose place is decoded'],
  ['shift + arrows', 'move the map'],
  ['+ and −', 'zoom'],
  ['0', 'all points'],
  ['Enter', 'select the nearest point'],
  ['N and P', 'next and previous point'],
  ['L', 'begin a region at the crosshair, and end it'],
  ['A', 'an anchor of the walk at the crosshair'],
  ['G', 'the decoded grid, or not'],
  ['Escape', 'nothing selected'],
]

export function keys(app: App, map: WorldMapView): void {
  /** Where a region was begun, on the plane. */
  let corner: [number, number] | null = null
  const here = (): [number, number] => map.plane.down(app.store.now.z)
  const there = (): [number, number] => map.view.toScreen(...here())

  const rectangle = (): [number, number][] => {
    const [[ax, ay], [bx, by]] = [corner ?? here(), here()]
    return [
      [ax, ay],
      [bx, ay],
      [bx, by],
      [ax, by],
    ]
  }

  const arrow = ([dx, dy]: [number, number], event: KeyboardEvent): void => {
    if (event.shiftKey || map.scene.frames) return map.pan(-4 * STEP * dx, -4 * STEP * dy)
    const [left, top] = there()
    const step = event.altKey ? 1 : STEP
    app.store.set({ z: map.actions.under(left + step * dx, top + step * dy), hovered: null })
    map.reveal(here())
    if (corner) map.outline(rectangle())
  }

  const region = (): void => {
    if (corner) {
      map.actions.pick(rectangle())
      corner = null
    } else {
      corner = here()
      app.say('A region begins here: move with the arrows, and press L again')
    }
  }

  const enter = (): void => {
    const point = map.actions.near(...there(), REACH)
    if (point !== null) map.actions.choose(point)
  }

  const escape = (): void => {
    corner = null
    map.actions.clear()
  }

  const deeds: Record<string, () => void> = {
    '+': () => map.zoom(1.5),
    '=': () => map.zoom(1.5),
    '-': () => map.zoom(1 / 1.5),
    '−': () => map.zoom(1 / 1.5),
    '0': () => map.all(),
    Enter: enter,
    Escape: escape,
    l: region,
    a: () => map.actions.anchor(...there(), 6),
    g: () => map.toggle('grid'),
    n: () => map.actions.step(1),
    p: () => map.actions.step(-1),
    ' ': () => (map.spaced = true),
  }

  map.canvas.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey) return
    const direction = ARROWS[event.key]
    const deed = deeds[event.key.length > 1 ? event.key : event.key.toLowerCase()]
    if (!direction && !deed) return
    event.preventDefault()
    if (direction) arrow(direction, event)
    else deed()
  })
  map.canvas.addEventListener('keyup', ({ key }) => key === ' ' && (map.spaced = false))
  map.canvas.addEventListener('blur', () => (map.spaced = false))
}
