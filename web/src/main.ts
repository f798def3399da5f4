// The page: reads what it was given, starts the model, and puts its parts together.

import type { App, Panel } from './app'
import { contents as read } from './blocks'
import { load } from './data'
import { h } from './dom'
import { Engine } from './engine'
import { lens } from './lens'
import { WorldMapView } from './map/map'
import { decodePanel } from './panels/decode'
import { pointPanel } from './panels/point'
import { regionPanel } from './panels/region'
import { samplePanel } from './panels/sample'
import { timePanel } from './panels/time'
import { walkPanel } from './panels/walk'
import { yoursPanel } from './panels/yours'
import { Album } from './pictures'
import { fallback, missing } from './fallback'
import { restore, share } from './share'
import { Store } from './store'
import { tabs } from './tabs'

const PANELS: ((app: App) => Panel | null)[] = [decodePanel, pointPanel, regionPanel, walkPanel, timePanel, yoursPanel, samplePanel]

async function start(): Promise<void> {
  const contents = read()
  const lacking = missing()
  if (lacking) return fallback(contents, lacking)
  const [data, album, engine] = await Promise.all([
    load(contents),
    contents.sheets && Album.open(contents.sheets),
    contents.model.missing ? null : Engine.start(contents),
  ])
  const store = new Store(restore(contents, data))
  const status = h('p', { class: 'status', role: 'status', 'aria-live': 'polite' })
  const app: App = { contents, data, store, engine, album, map: null as never, say: (text) => status.replaceChildren(text) }
  const map = new WorldMapView(app)
  app.map = map
  const main = document.getElementById('app') as HTMLElement
  const panels = PANELS.map((make) => make(app)).filter((panel) => panel !== null)
  main.replaceChildren(map.element, h('aside', { class: 'side' }, lens(app), tabs(app, panels), status))
  document.body.classList.add('ready')
  map.redraw()
  share(store)
  Object.assign(globalThis, { vaescope: { app, ready: performance.now() } })
}

start().catch((error: unknown) => {
  console.error(error)
  document.getElementById('app')?.replaceChildren(h('p', { class: 'warning' }, `This page could not be set up: ${String(error)}`))
})
