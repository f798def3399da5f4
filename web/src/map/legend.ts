// Below the map: what the colours are of, the classes as switches, or the bar of a quantity.

import type { App } from '../app'
import { viridis } from '../colours'
import { explained, h, number } from '../dom'
import { group, pressed } from './controls'
import { KEYS } from './keys'
import type { WorldMapView } from './map'
import type { Bar } from './shade'

/** From so many classes on, there is a field to find one. */
const MANY = 20

export interface Legend {
  element: HTMLElement
  /** Shows what the colours stand for. */
  bar(bar: Bar | null): void
}

export function legend(app: App, map: WorldMapView): Legend {
  const scale = h('div', { class: 'scale' })
  const element = h('div', { class: 'legend' }, h('div', { class: 'row' }, chooser(app), scale), classes(app), notes(app, map))
  return { element, bar: (bar) => scale.replaceChildren(...(bar ? [barOf(bar)] : [])) }
}

function chooser(app: App): HTMLElement {
  const { contents, data, store } = app
  const choices = [...(data.labels ? [['class', 'class']] : []), ['density', 'density'], ...Object.entries(contents.scores).map(([name, { title }]) => [name, title])]
  const buttons = choices.map(([colour, title]) => h('button', { type: 'button', onclick: () => store.set({ colour }) }, title))
  store.on(['colour', 'frame'], ({ colour, frame }) =>
    buttons.forEach((button, k) => {
      pressed(button, frame === null ? choices[k][0] === colour : choices[k][0] === 'class')
      button.disabled = frame !== null
    }),
  )
  return h('div', { class: 'chooser' }, h('span', { class: 'soft' }, 'colour'), group('colour of the points', ...buttons))
}

/** A bar of viridis with its numbers; where values go beyond its ends, it says so. */
function barOf({ low, high, least, most, title, unit }: Bar): HTMLElement {
  const stops = Array.from({ length: 11 }, (_, k) => `rgb(${viridis(k / 10).map(Math.round).join(' ')})`)
  const size = Math.max(Math.abs(low), Math.abs(high), 1e-9)
  const digits = Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(size))))
  const below = least < low ? '≤ ' : ''
  const above = most > high ? '≥ ' : ''
  const ends = [`${below}${number(low, digits)}`, number((low + high) / 2, digits), `${above}${number(high, digits)}`]
  const colours = h('div', { class: 'bar', role: 'img', 'aria-label': `${title}: colours from ${ends[0]} to ${ends[2]} ${unit}` })
  colours.style.background = `linear-gradient(to right, ${stops.join(',')})`
  return h('div', {}, colours, h('div', { class: 'ends' }, ...ends.map((end) => h('span', {}, end))), h('div', { class: 'soft unit' }, unit))
}

/** The classes with how many points each has: a click switches one, a double click leaves only it. */
function classes(app: App): HTMLElement | null {
  const { contents, data, store } = app
  const { labels } = data
  if (!labels) return null
  const counts = new Array<number>(contents.classes.length).fill(0)
  for (const label of labels) if (label >= 0) counts[label]++
  const every = [...counts.keys()]
  const toggle = (k: number): void => {
    const { hidden } = store.now
    store.set({ hidden: hidden.includes(k) ? hidden.filter((label) => label !== k) : [...hidden, k] })
  }
  const only = (k: number): void => store.set({ hidden: every.filter((label) => label !== k) })
  const buttons = contents.classes.map((name, k) => classButton(name, contents.colours[k], counts[k], () => toggle(k), () => only(k)))
  store.on(['hidden', 'colour', 'frame'], ({ hidden, colour, frame }) => {
    const off = new Set(hidden)
    buttons.forEach((button, k) => {
      pressed(button, !off.has(k))
      button.classList.toggle('plain', colour !== 'class' && frame === null)
    })
  })
  const list = h('div', { class: 'classes', role: 'group', 'aria-label': 'classes' }, ...buttons)
  const all = h('button', { type: 'button', class: 'quiet', onclick: () => store.set({ hidden: [] }) }, 'all')
  const none = h('button', { type: 'button', class: 'quiet', onclick: () => store.set({ hidden: every }) }, 'none')
  const hint = h('span', { class: 'soft' }, 'double click: only this class')
  const bar = h('div', { class: 'row' }, buttons.length > MANY ? filter(buttons, contents.classes) : null, group('switch classes', all, none), hint)
  return h('div', {}, list, bar, contents.cycle ? h('p', { class: 'soft' }, contents.cycle) : null)
}

function classButton(name: string, colour: string, count: number, toggle: () => void, only: () => void): HTMLButtonElement {
  const dot = h('i', { class: 'dot' })
  dot.style.setProperty('--own', colour)
  const title = `${name}: ${count.toLocaleString('en')} points. Click: on or off; double click: only this class`
  return h('button', { type: 'button', class: 'class', title, onclick: toggle, ondblclick: only }, dot, name, h('small', {}, count.toLocaleString('en')))
}

function filter(buttons: HTMLElement[], names: string[]): HTMLElement {
  const field = h('input', { type: 'search', placeholder: `filter ${names.length} classes`, 'aria-label': 'filter the classes by name' })
  field.addEventListener('input', () => {
    const wanted = field.value.trim().toLowerCase()
    buttons.forEach((button, k) => (button.hidden = !names[k].toLowerCase().includes(wanted)))
  })
  return field
}

function notes(app: App, map: WorldMapView): HTMLElement {
  const { contents, store } = app
  const prior = contents.prior.standard ? 'circles: 1 and 2 standard deviations of the prior' : ''
  const count = contents.points.count.toLocaleString('en')
  const all = contents.points.of.toLocaleString('en')
  const points = `${count}${count === all ? '' : ` of ${all}`} ${contents.points.split} images`
  const line = h('span', { class: 'soft' })
  store.on(['frame'], ({ frame }) => {
    const shown = frame === null ? points : 'validation images during training'
    line.replaceChildren([shown, contents.model.latents > 1 ? prior : ''].filter(Boolean).join(' · '))
  })
  const help = h('dl', {}, ...KEYS.flatMap(([key, deed]) => [h('dt', {}, key), h('dd', {}, deed)]))
  map.canvas.setAttribute('aria-describedby', 'map-keys')
  return h('div', {},
    h('div', { class: 'row' }, line, h('details', { class: 'keys' }, h('summary', {}, 'keys'), h('div', { id: 'map-keys' }, help))),
    explained(`Each point is one image, where the encoder puts it: ${contents.model.point ? 'its code' : 'the centre of its posterior'}. Images that lie close together are alike to the model. ` +
      `The decoder turns any place into an image, also where no point lies: move over the map, or lay the decoded grid below the points.`),
  )
}
