// The row above the map: what a drag does, what is shown, how near, and which plane.

import type { App } from '../app'
import { h } from '../dom'
import type { State } from '../store'
import { group, iconButton, pressed } from './controls'
import type { WorldMapView } from './map'
import { planes } from './planes'
import { search } from './search'

const TOOLS: [State['tool'], string][] = [
  ['decode', 'Decode the place under the pointer: move or drag'],
  ['pan', 'Drag the map (with any tool: hold space, or the middle button)'],
  ['lasso', 'Draw around points to look at them together (with any tool: hold shift)'],
  ['anchor', 'Click to set the anchors of a walk, drag to move them'],
]

export function tools(app: App, map: WorldMapView): HTMLElement {
  const field = app.data.labels ? null : search(app, map) // with classes it stands above them
  return h('div', { class: 'tools' }, deeds(app), shown(app, map), zooms(map), planes(app), field)
}

function deeds({ store }: App): HTMLElement {
  const buttons = TOOLS.map(([tool, title]) => iconButton(tool, tool, title, () => store.set({ tool })))
  store.on(['tool'], ({ tool }) => buttons.forEach((button, k) => pressed(button, TOOLS[k][0] === tool)))
  return group('what a drag on the map does', ...buttons)
}

function shown({ store, engine }: App, map: WorldMapView): HTMLElement {
  const dots = iconButton('dots', 'points', 'Points, or none', () => map.toggle('dots'))
  const why = engine ? 'The decoded plane below the points (G)' : 'The model cannot run in this page'
  const grid = iconButton('grid', 'grid', why, () => map.toggle('grid'))
  grid.disabled = !engine
  store.on(['dots', 'grid', 'frame'], (state) => {
    pressed(dots, state.dots)
    pressed(grid, state.grid)
    grid.disabled = !engine || state.frame !== null
  })
  return group('what the map shows', dots, grid)
}

function zooms(map: WorldMapView): HTMLElement {
  return group(
    'zoom',
    iconButton('farther', 'zoom out', 'Zoom out (−)', () => map.zoomSlowly(1 / 2), false),
    iconButton('closer', 'zoom in', 'Zoom in (+)', () => map.zoomSlowly(2), false),
    iconButton('all', 'all points', 'All points (0, or double click)', () => map.all(), false),
  )
}
