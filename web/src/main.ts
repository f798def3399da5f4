// The page: reads what it was given, starts the model, and puts its parts together.

import type { App, Panel } from './app'
import { contents as read } from './blocks'
import type { Contents } from './contents'
import { load } from './data'
import { h } from './dom'
import { Engine } from './engine'
import { fallback, missing, started, without } from './fallback'
import { acts, footer, header } from './header'
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
import { restore, share } from './share'
import { Store } from './store'
import { tabs } from './tabs'

const PANELS: ((app: App) => Panel | null)[] = [
  decodePanel,
  pointPanel,
  regionPanel,
  walkPanel,
  timePanel,
  yoursPanel,
  samplePanel,
]

async function start(): Promise<void> {
  const contents = read()
  header(contents)
  footer(contents)
  const lacking = missing()
  if (lacking) return fallback(contents, lacking)
  const app = await gathered(contents)
  const map = new WorldMapView(app)
  app.map = map
  const panels = PANELS.map((make) => make(app)).filter((panel) => panel !== null)
  const status = h('p', { class: 'status', role: 'status', 'aria-live': 'polite' })
  app.say = (text) => told(status, text)
  const warning = contents.model.missing ? without(contents.model.missing) : null
  const side = h(
    'aside',
    { class: 'side', 'aria-label': 'what the model makes of it' },
    warning,
    lens(app),
    tabs(app, panels),
  )
  document.getElementById('app')?.replaceChildren(map.element, side)
  document.body.append(status)
  addEventListener('unhandledrejection', ({ reason }) => app.say(`The model gave no answer: ${String(reason)}`))
  acts(app.store)
  document.body.classList.add('ready')
  map.redraw()
  share(app)
  Object.assign(globalThis, { vaescope: { app, ready: performance.now() } })
}

let leaving = 0

/** Tells something for a while, long enough to be read. */
function told(status: HTMLElement, text: string): void {
  clearTimeout(leaving)
  status.textContent = text
  leaving = window.setTimeout(() => status.replaceChildren(), 4000 + 60 * text.length)
}

/** Everything that is read. The model comes first, as it compiles in a thread of its own while the rest is unpacked. */
async function gathered(contents: Contents): Promise<App> {
  const model = contents.model.missing ? null : started(contents, Engine.start(contents))
  const pictures = contents.sheets && Album.open(contents.sheets)
  const [engine, data, album] = await Promise.all([model, load(contents), pictures])
  const store = new Store(restore(contents, data))
  return { contents, data, store, engine, album, map: null as never, say: () => undefined }
}

start().catch((error: unknown) => {
  console.error(error)
  document
    .getElementById('app')
    ?.replaceChildren(h('p', { class: 'warning', role: 'alert' }, `This page could not be set up: ${String(error)}`))
})
