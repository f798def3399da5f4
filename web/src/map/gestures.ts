// What mouse, pen and fingers do on the map: one drags by the chosen tool, two zoom, the wheel zooms at the pointer.

import type { App } from '../app'
import type { State } from '../store'
import type { WorldMapView } from './map'

type Spot = [number, number]
type Deed = State['tool'] | 'move anchor'

/** Pixels within which a point is meant, by pointer and by finger, and from which on a press is a drag. */
const REACH = { mouse: 12, pen: 12, touch: 22 } as Record<string, number>
const STILL = 4

interface Drag {
  deed: Deed
  start: Spot
  last: Spot
  path: [number, number][]
  moved: boolean
  anchor: number
}

export function gestures(app: App, map: WorldMapView): void {
  const { canvas, actions } = map
  const down = new Map<number, Spot>()
  let drag: Drag | null = null
  const spot = (event: MouseEvent): Spot => [event.offsetX, event.offsetY]
  const reach = (event: PointerEvent): number => REACH[event.pointerType] ?? REACH.mouse

  const deed = (event: PointerEvent, anchor: number): Deed => {
    const { tool } = app.store.now
    if (event.button === 1 || map.spaced || map.scene.frames) return 'pan'
    if (event.shiftKey) return 'lasso'
    return tool === 'anchor' && anchor >= 0 ? 'move anchor' : tool
  }

  const begin = (event: PointerEvent): void => {
    if (event.button > 1) return
    canvas.setPointerCapture(event.pointerId)
    canvas.focus({ preventScroll: true })
    if (event.button === 1) event.preventDefault()
    const at = spot(event)
    down.set(event.pointerId, at)
    const anchor = actions.anchorAt(...at, reach(event))
    drag =
      down.size > 1
        ? null
        : { deed: deed(event, anchor), start: at, last: at, path: [map.view.toPlane(...at)], moved: false, anchor }
    if (drag?.deed === 'pan') canvas.classList.add('held')
    if (drag?.deed === 'decode') actions.hover(...at, reach(event))
  }

  const move = (event: PointerEvent): void => {
    const at = spot(event)
    if (down.size > 1 && down.has(event.pointerId)) pinch(event.pointerId, at)
    else if (drag) onDrag(drag, at, event)
    else if (!down.size && event.pointerType !== 'touch') actions.hover(...at, reach(event))
  }

  const onDrag = (now: Drag, at: Spot, event: PointerEvent): void => {
    now.moved ||= Math.hypot(at[0] - now.start[0], at[1] - now.start[1]) > STILL
    if (!now.moved) return
    if (now.deed === 'pan' || (now.deed === 'anchor' && event.pointerType === 'touch'))
      map.pan(at[0] - now.last[0], at[1] - now.last[1])
    if (now.deed === 'decode') actions.hover(...at, reach(event))
    if (now.deed === 'move anchor') actions.moveAnchor(now.anchor, ...at)
    if (now.deed === 'lasso') {
      now.path.push(map.view.toPlane(...at))
      map.outline(now.path)
    }
    now.last = at
  }

  const pinch = (id: number, at: Spot): void => {
    const [other] = [...down].filter(([one]) => one !== id).map(([, place]) => place)
    const old = down.get(id) as Spot
    const apart = (a: Spot): number => Math.max(8, Math.hypot(a[0] - other[0], a[1] - other[1]))
    down.set(id, at)
    map.pan((at[0] - old[0]) / 2, (at[1] - old[1]) / 2)
    map.zoom(apart(at) / apart(old), (at[0] + other[0]) / 2, (at[1] + other[1]) / 2)
  }

  const end = (event: PointerEvent): void => {
    const done = down.delete(event.pointerId) ? drag : null
    drag = null
    canvas.classList.remove('held')
    if (!done || event.type === 'pointercancel') return
    const at = spot(event)
    if (!done.moved) {
      if (event.button === 0) actions.click(...at, reach(event))
    } else if (done.deed === 'lasso') actions.pick(done.path)
    else if (done.deed === 'decode') actions.keep(actions.under(...at))
  }

  canvas.addEventListener('pointerdown', begin)
  canvas.addEventListener('pointermove', move)
  canvas.addEventListener('pointerup', end)
  canvas.addEventListener('pointercancel', end)
  canvas.addEventListener('pointerenter', () => actions.enter())
  canvas.addEventListener('pointerleave', () => !down.size && actions.leave())
  canvas.addEventListener('dblclick', () => app.store.now.tool !== 'anchor' && map.all())
  canvas.addEventListener(
    'wheel',
    (event) => {
      event.preventDefault()
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1
      map.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0015)), ...spot(event))
    },
    { passive: false },
  )
}
