// Around the map: the classes as switches beside it; below, what the colours are of, with the bar of a quantity.

import type { App } from '../app'
import { viridis } from '../colours'
import { explained, h, number } from '../dom'
import { group, pressed } from './controls'
import { KEYS } from './keys'
import type { WorldMapView } from './map'
import { search } from './search'
import type { Bar } from './shade'

/** From so many classes on, there is a field to find one. */
const MANY = 20

export interface Legend {
  /** Beside the map, where there are classes: them and the search field. */
  side: HTMLElement | null
  /** Below it. */
  foot: HTMLElement
  /** Shows what the colours stand for. */
  bar(bar: Bar | null): void
}

export function legend(app: App, map: WorldMapView): Legend {
  const scale = h('div', { class: 'scale' })
  const side = app.data.labels && h('div', { class: 'beside' }, search(app, map), ...classes(app, app.data.labels))
  const foot = h('div', { class: 'foot' }, h('div', { class: 'row' }, chooser(app), scale), ...notes(app, map))
  return { side, foot, bar: (bar) => scale.replaceChildren(...(bar ? barOf(bar) : [])) }
}

function chooser(app: App): HTMLElement {
  const { contents, data, store } = app
  const choices = [
    ...(data.labels ? [['class', 'class']] : []),
    ['density', 'density'],
    ...Object.entries(contents.scores).map(([name, { title }]) => [name, title]),
  ]
  const buttons = choices.map(([colour, title]) =>
    h('button', { type: 'button', onclick: () => store.set({ colour }) }, title),
  )
  store.on(['colour', 'frame'], ({ colour, frame }) =>
    buttons.forEach((button, k) => {
      pressed(button, frame === null ? choices[k][0] === colour : choices[k][0] === 'class')
      button.disabled = frame !== null
    }),
  )
  return h(
    'div',
    { class: 'chooser' },
    h('span', { class: 'soft' }, 'colour'),
    group('colour of the points', ...buttons),
  )
}

/** A bar of viridis with its numbers; where values go beyond its ends, it says so. */
function barOf({ low, high, least, most, title, unit }: Bar): HTMLElement[] {
  const stops = Array.from(
    { length: 11 },
    (_, k) =>
      `rgb(${viridis(k / 10)
        .map(Math.round)
        .join(' ')})`,
  )
  const size = Math.max(Math.abs(low), Math.abs(high), 1e-9)
  const digits = Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(size))))
  const below = least < low ? '≤ ' : ''
  const above = most > high ? '≥ ' : ''
  const ends = [`${below}${number(low, digits)}`, `${above}${number(high, digits)}`]
  const colours = h('div', {
    class: 'bar',
    role: 'img',
    'aria-label': `${title}: colours from ${ends[0]} to ${ends[1]} ${unit}`,
  })
  colours.style.background = `linear-gradient(to right, ${stops.join(',')})`
  return [colours, h('div', { class: 'ends' }, ...[ends[0], unit, ends[1]].map((text) => h('span', {}, text)))]
}

/** The classes with how many points each has: a click switches one, a double click leaves only it. */
function classes({ contents, store }: App, labels: Int32Array): HTMLElement[] {
  const counts = new Array<number>(contents.classes.length).fill(0)
  for (const label of labels) if (label >= 0) counts[label]++
  const every = [...counts.keys()]
  const toggle = (k: number): void => {
    const { hidden } = store.now
    store.set({ hidden: hidden.includes(k) ? hidden.filter((label) => label !== k) : [...hidden, k] })
  }
  const only = (k: number): void => store.set({ hidden: every.filter((label) => label !== k) })
  const buttons = contents.classes.map((name, k) =>
    classButton(
      name,
      contents.colours[k],
      counts[k],
      () => toggle(k),
      () => only(k),
    ),
  )
  const list = h('div', { class: 'classes', role: 'group', 'aria-label': 'classes' }, ...buttons)
  store.on(['hidden', 'colour', 'frame'], ({ hidden, colour, frame }) => {
    const off = new Set(hidden)
    list.classList.toggle('training', frame !== null) // the counts are of the test images
    buttons.forEach((button, k) => {
      pressed(button, !off.has(k))
      button.classList.toggle('plain', colour !== 'class' && frame === null)
    })
  })
  const all = h('button', { type: 'button', onclick: () => store.set({ hidden: [] }) }, 'all')
  const none = h('button', { type: 'button', onclick: () => store.set({ hidden: every }) }, 'none')
  const cycle = contents.cycle ? h('p', { class: 'soft' }, contents.cycle) : ''
  const hint = h('p', { class: 'soft' }, 'double click: only this')
  const field = buttons.length > MANY ? filter(buttons, contents.classes) : ''
  return [h('div', { class: 'which' }, field, list, group('switch all classes', all, none), hint, cycle)]
}

function classButton(
  name: string,
  colour: string,
  count: number,
  toggle: () => void,
  only: () => void,
): HTMLButtonElement {
  const dot = h('i', { class: 'dot' })
  dot.style.setProperty('--own', colour)
  const title = `${name}: ${count.toLocaleString('en')} points. Click: on or off; double click: only this class`
  const words = [dot, h('span', { class: 'name' }, name), h('small', {}, count.toLocaleString('en'))]
  return h('button', { type: 'button', class: 'class', title, onclick: toggle, ondblclick: only }, ...words)
}

function filter(buttons: HTMLElement[], names: string[]): HTMLElement {
  const field = h('input', {
    type: 'search',
    placeholder: `filter ${names.length} classes`,
    'aria-label': 'filter the classes by name',
  })
  field.addEventListener('input', () => {
    const wanted = field.value.trim().toLowerCase()
    buttons.forEach((button, k) => (button.hidden = !names[k].toLowerCase().includes(wanted)))
  })
  return field
}

function notes(app: App, map: WorldMapView): HTMLElement[] {
  const { contents, store } = app
  const { count, of, split } = contents.points
  const points = `${count.toLocaleString('en')}${count === of ? '' : ` of ${of.toLocaleString('en')}`} ${split} images`
  const prior = contents.prior.standard
    ? `${contents.model.latents > 1 ? 'circles' : 'lines'}: 1 and 2 standard deviations of the prior`
    : ''
  const line = h('span', { class: 'soft' })
  store.on(['frame'], ({ frame }) => {
    const shown = frame === null ? points : 'validation images during training'
    line.replaceChildren([shown, prior].filter(Boolean).join(' · '))
  })
  const help = h('dl', { id: 'map-keys' }, ...KEYS.flatMap(([key, deed]) => [h('dt', {}, key), h('dd', {}, deed)]))
  map.canvas.setAttribute('aria-describedby', help.id)
  return [
    h('div', { class: 'row' }, line, h('details', { class: 'keys' }, h('summary', {}, 'keys'), help)),
    explained(story(app)),
  ]
}

/** What the map is, in a few sentences. */
function story({ contents, engine }: App): string {
  const { latents, point, support } = contents.model
  const where = point ? 'the encoder puts it' : 'the centre of its posterior lies'
  const dots = `Each dot is an image, drawn where ${where}: images close together are alike to the model.`
  if (!engine) return dots
  const decoder =
    'The decoder makes an image of any place, also between dots: move over the map, or switch on the grid.'
  const given =
    contents.model.labels === 'given'
      ? 'Classes may lie on one another, as the decoder is told the class: the latents hold what else differs.'
      : ''
  const slice = 'The grid is the plane through the crosshair; sliders move it along the other latents.'
  const nearest = `Of a place that no latents of this model have, it takes the nearest ${support === 'sphere' ? 'on the sphere' : 'code'}.`
  return [dots, given, decoder, latents > 2 ? slice : '', support === 'all' ? '' : nearest].filter(Boolean).join(' ')
}
