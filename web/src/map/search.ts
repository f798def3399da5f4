// The field that finds a point by its number in the set, or a class by its name.

import type { App } from '../app'
import { h } from '../dom'
import type { WorldMapView } from './map'

export function search(app: App, map: WorldMapView): HTMLElement {
  const { classes, points } = app.contents
  const hint = app.data.labels ? 'class or number' : 'number'
  const list = h(
    'datalist',
    { id: 'class-names' },
    ...(app.data.labels ? classes : []).map((name) => h('option', { value: name })),
  )
  const field = h('input', {
    type: 'search',
    placeholder: hint,
    title: `Find a ${points.split} image by its ${hint}`,
    list: list.id,
    'aria-label': `find a ${points.split} image by ${hint}`,
    autocomplete: 'off',
  })
  const go = (): void => {
    const text = field.value.trim()
    if (!text) return
    const point = found(app, text)
    if (point === null) app.say(`${text} is neither a class nor the number of a ${points.split} image in this page`)
    else map.actions.jump(point)
  }
  field.addEventListener('change', go)
  const form = h('form', { class: 'search', role: 'search' }, field, list)
  form.addEventListener('submit', (event) => event.preventDefault())
  return form
}

/** The point that a text names: by its place in the set, or the middle one of a class whose name begins so. */
function found({ data, contents }: App, text: string): number | null {
  if (data.labels) {
    const wanted = text.toLowerCase()
    const names = contents.classes.map((name) => name.toLowerCase())
    const label = names.includes(wanted)
      ? names.indexOf(wanted)
      : names.findIndex((name) => name.startsWith(wanted) && !/^\d+$/.test(text))
    if (label >= 0) return middle(data.codes, data.latents, data.labels, label)
  }
  const digits = text.replace(/^#|,/g, '')
  const place = /^\d+$/.test(digits) ? data.index.indexOf(Number(digits)) : -1
  return place < 0 ? null : place
}

/** The point of a class that is nearest to the mean of its codes. */
function middle(codes: Float32Array, latents: number, labels: Int32Array, label: number): number | null {
  const members = [...labels.keys()].filter((i) => labels[i] === label)
  const mean = Array.from(
    { length: latents },
    (_, d) => members.reduce((sum, i) => sum + codes[i * latents + d], 0) / members.length,
  )
  const far = (i: number): number => mean.reduce((sum, value, d) => sum + (codes[i * latents + d] - value) ** 2, 0)
  return members.reduce<{ point: number | null; least: number }>(
    (best, i) => (far(i) < best.least ? { point: i, least: far(i) } : best),
    { point: null, least: Infinity },
  ).point
}
