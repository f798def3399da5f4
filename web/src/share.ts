// The state of the page in its address, so that a view can be shared: #tab=walk&plane=0,3&colour=elbo&z=0.5,-1.2
// What is as it was at the beginning is left out, and what makes no sense on this page is not taken over.

import type { Contents } from './contents'
import type { Data } from './data'
import { h } from './dom'
import { typical } from './latents'
import { MOST_ANCHORS, type State, type Store } from './store'

/** How long a change waits until it is written, in milliseconds: browsers take a few a second. */
const PAUSE = 300

/** The most numbers of latents that an address holds, which some programs cut after 2,000 characters. */
const MOST = 256

/** How a value of the state is written, and read where it makes sense here; null is written as nothing. */
interface Entry<T> {
  name: string
  write(value: T): string | null
  /** Undefined where the text is not for this page. */
  read(text: string, contents: Contents, data: Data): T | undefined
}

type Entries = { [K in keyof State]?: Entry<State[K]> }

const TABS: State['tab'][] = ['decode', 'point', 'region', 'walk', 'time', 'yours', 'sample']
const TOOLS: State['tool'][] = ['decode', 'pan', 'lasso', 'anchor']

/** Numbers with so many digits that matter: latents on a sphere are small, codes of an autoencoder may be large. */
const row = (values: ArrayLike<number>, digits = 3): string =>
  Array.from(values, (value) => Number(value.toPrecision(digits))).join()

/** A row of finite numbers, if it is one of so many. */
function numbers(text: string, count?: number): number[] | undefined {
  const found = text.split(',').map((part) => (part.trim() ? Number(part) : NaN))
  return found.every(Number.isFinite) && (count === undefined || found.length === count) ? found : undefined
}

/** Whole numbers from 0 up to a bound that is not one of them. */
function places(text: string, bound: number, count?: number): number[] | undefined {
  const found = numbers(text, count)
  return found?.every((value) => Number.isInteger(value) && value >= 0 && value < bound) ? found : undefined
}

const oneOf =
  <T extends string>(all: readonly T[]) =>
  (text: string): T | undefined =>
    all.find((one) => one === text)
const yes = (name: string): Entry<boolean> => ({
  name,
  write: (value) => (value ? '1' : '0'),
  read: (text) => (text === '1' ? true : text === '0' ? false : undefined),
})

const ENTRIES: Entries = {
  tab: { name: 'tab', write: String, read: oneOf(TABS) },
  plane: { name: 'plane', write: (plane) => (plane === 'principal' ? plane : plane.join()), read: readPlane },
  view: {
    name: 'view',
    write: (view) => view && row([view.x, view.y, view.scale], 6),
    read(text) {
      const [x, y, scale] = numbers(text, 3) ?? []
      return scale > 0 ? { x, y, scale } : undefined
    },
  },
  colour: { name: 'colour', write: String, read: readColour },
  hidden: { name: 'hide', write: (hidden) => hidden.join(), read: (text, { classes }) => places(text, classes.length) },
  grid: yes('grid'),
  dots: yes('dots'),
  z: {
    name: 'z',
    write: (z) => (z.length > MOST ? null : row(z)),
    read: (text, _, { latents }) => numbers(text, latents),
  },
  label: { name: 'label', write: String, read: (text, { classes }) => places(text, classes.length, 1)?.[0] },
  selected: {
    name: 'sel',
    write: (selected) => (selected === null ? null : String(selected)),
    read: (text, _, { count }) => places(text, count, 1)?.[0],
  },
  tool: { name: 'tool', write: String, read: oneOf(TOOLS) },
  anchors: {
    name: 'anchors',
    write: (anchors) => (anchors.flat().length > MOST ? null : anchors.map((one) => row(one)).join(';')),
    read(text, _, { latents }) {
      const found = text
        .split(';')
        .slice(0, MOST_ANCHORS)
        .map((part) => numbers(part, latents))
      return found.every((one) => one !== undefined) ? found : undefined
    },
  },
  route: { name: 'route', write: String, read: oneOf(['straight', 'sphere']) },
  frame: {
    name: 'frame',
    write: (frame) => (frame === null ? null : String(frame)),
    read: (text, { travel }) => places(text, travel?.numbers.length ?? 0, 1)?.[0],
  },
  temperature: { name: 'temperature', write: (value) => row([value]), read: readTemperature },
  explain: yes('explain'),
}

function readPlane(text: string, _: Contents, { latents }: Data): State['plane'] | undefined {
  if (text === 'principal') return text
  const [a, b] = places(text, Math.max(2, latents), 2) ?? []
  return a !== undefined && a !== b ? [a, b] : undefined
}

function readColour(text: string, { scores }: Contents, { labels }: Data): string | undefined {
  return text === 'density' || Object.hasOwn(scores, text) || (text === 'class' && labels) ? text : undefined
}

function readTemperature(text: string, { prior }: Contents): number | undefined {
  const [value] = numbers(text, 1) ?? []
  return value >= 0 && value <= Math.max(2, ...prior.temperatures) ? value : undefined
}

const KEYS = Object.keys(ENTRIES) as (keyof State)[]

/** The state of a page that nobody has touched. */
function initial(contents: Contents, data: Data): State {
  return {
    plane: data.latents > 2 ? 'principal' : [0, 1],
    view: null,
    colour: data.labels ? 'class' : 'elbo' in contents.scores ? 'elbo' : 'density',
    hidden: [],
    grid: false,
    dots: true,
    z: [...typical(data)],
    label: 0,
    hovered: null,
    selected: null,
    region: [],
    tool: 'decode',
    tab: 'decode',
    anchors: [],
    route: 'straight',
    walking: false,
    frame: null,
    temperature: 1,
    kept: [],
    keptLabels: [],
    mine: null,
    explain: true,
  }
}

/** What the address says of the state. */
function told(contents: Contents, data: Data): Partial<State> {
  const given = new URLSearchParams(location.hash.slice(1))
  const found = KEYS.map((key) => {
    const entry = ENTRIES[key] as Entry<unknown>
    const text = given.get(entry.name)
    const value = text === null ? undefined : entry.read(text, contents, data)
    return value === undefined ? [] : [[key, value]]
  })
  return Object.fromEntries(found.flat()) as Partial<State>
}

/** The state to begin with: what the address says, and defaults. */
export const restore = (contents: Contents, data: Data): State => ({
  ...initial(contents, data),
  ...told(contents, data),
})

/** A state as the fragment of an address: what is not as at the beginning. */
function written(now: Readonly<State>, begin: State): string {
  const parts = KEYS.flatMap((key) => {
    const entry = ENTRIES[key] as Entry<unknown>
    const text = entry.write(now[key])
    return text === null || text === entry.write(begin[key])
      ? []
      : [`${entry.name}=${encodeURIComponent(text).replaceAll('%2C', ',').replaceAll('%3B', ';')}`]
  })
  return parts.join('&')
}

/** Writes the state into the address when it changes, and takes over an address that the user changes. */
export function share({ contents, data, store }: { contents: Contents; data: Data; store: Store }): void {
  const begin = initial(contents, data)
  let timer = 0
  const write = (): void => {
    timer = 0
    const text = written(store.now, begin)
    if (location.hash.slice(1) === text) return
    try {
      history.replaceState(null, '', text ? `#${text}` : location.href.split('#')[0])
    } catch {
      // a frame without an address of its own cannot keep one, and needs none
    }
  }
  store.on(KEYS, () => (timer ||= window.setTimeout(write, PAUSE)))
  addEventListener('hashchange', () => {
    const back = Object.fromEntries(KEYS.map((key) => [key, begin[key]])) as Partial<State>
    store.set({ ...back, ...told(contents, data) })
  })
}

/** Copies the address; absent in a frame that has none. */
export function copyLink(): HTMLElement | null {
  if (location.protocol === 'about:') return null
  const button = h('button', { class: 'quiet', onclick: copy }, 'copy link to this view')
  async function copy(): Promise<void> {
    await new Promise((done) => setTimeout(done, PAUSE)) // what has just changed may not be written yet
    try {
      await navigator.clipboard.writeText(location.href)
      button.replaceChildren('copied')
    } catch {
      prompt('The link to this view:', location.href)
    }
    setTimeout(() => button.replaceChildren('copy link to this view'), 1500)
  }
  return button
}
