// Sliders for the latents: the decoder follows them. Equal steps of a slider are equally probable.

import type { App, Panel } from '../app'
import { calmly, copy, explained, h, number } from '../dom'
import { priorDraws } from '../draws'
import { meanOf, settled, turned } from '../latents'
import { lacking } from '../points'
import { scaleOf } from '../scales'
import type { Control } from './controls'

/** So many sliders are there to begin with, and a latent whose centres vary less hardly moves (Burda et al., 2016). */
const FIRST = 12
const ASLEEP = 0.01

export function decodePanel(app: App): Panel | null {
  const missing = lacking(app)
  const note = missing ? h('p', { class: 'hint' }, missing) : null
  const element = h('div', {}, note, classChooser(app), actions(app), sliders(app), explained(explanation(app)))
  return { tab: 'decode', title: 'decode', element }
}

function explanation({ contents: { model }, data }: App): string {
  const start = `The decoder turns ${data.latents === 1 ? 'a single number, the latent z,' : `${data.latents} numbers, the latents z,`} into an image, and it does so everywhere, also where no image was encoded.`
  if (typeof model.support === 'number')
    return `${start} Each latent of this model is one of ${model.support} levels, so a slider goes from level to level.`
  if (model.support === 'sphere')
    return `${start} Latents of this model lie on a sphere: move one, and the others shrink or grow so that the length stays 1.`
  if (model.point)
    return `${start} The codes of an autoencoder need not follow a prior, so each slider goes through those of the test images: equal steps pass equally many of them.`
  const first = data.latents > FIRST ? ' Latents that vary most from image to image come first.' : ''
  return `${start} Each slider goes through the prior p(z), the model's own idea of which latents are common: equal steps are equally probable, and nearly all of it lies between the ends.${first}`
}

/** The class to decode in, for a model that knows labels. */
export function classChooser({ contents, store }: App, name = 'decode as'): HTMLElement | null {
  if (contents.model.labels === 'none') return null
  const options = contents.classes.map((name, k) => h('option', { value: k }, name))
  const select: HTMLSelectElement = h(
    'select',
    { onchange: () => store.set({ label: Number(select.value) }) },
    ...options,
  )
  store.on(['label'], ({ label }) => (select.value = String(label)))
  return h('label', {}, name, select)
}

/** Buttons that set all latents at once. */
function actions(app: App): HTMLElement {
  const { contents, data, store } = app
  const go = (z: ArrayLike<number>): void => store.set({ z: [...settled(z, contents.model)] })
  const plain = contents.model.support === 'all' && !contents.model.point
  const middle = contents.prior.probabilities.indexOf(0.5)
  const centre = plain ? contents.prior.quantiles.map((values) => values[middle]) : data.middle
  return h(
    'div',
    { class: 'row' },
    h('button', { onclick: () => go(centre) }, plain ? 'prior centre' : 'mean of all'),
    h('button', { onclick: () => go(priorDraws(app, 1, 1, Date.now())[0]) }, 'draw from the prior'),
    classMeans(app, go),
    h('button', { onclick: async () => app.say(await copied(app)) }, 'copy latents'),
  )
}

async function copied({ store, contents, data }: App): Promise<string> {
  const text = `[${[...settled(store.now.z, contents.model)].map((value) => +value.toFixed(4)).join(', ')}]`
  return (await copy(text))
    ? `${data.latents} latents copied as a Python list.`
    : `This browser lets nothing be copied: ${text}`
}

/** Goes to the mean of the centres of one class. */
function classMeans({ contents, data }: App, go: (z: ArrayLike<number>) => void): HTMLElement | null {
  const { labels } = data
  if (!labels) return null
  const present = new Set(labels)
  const options = contents.classes.flatMap((name, k) => (present.has(k) ? [h('option', { value: k }, name)] : []))
  const choose = (): void => {
    const points = [...labels.keys()].filter((point) => labels[point] === Number(select.value))
    if (points.length) go(meanOf(data, points))
    select.value = ''
  }
  const first = h('option', { value: '' }, 'mean of a class …')
  const select: HTMLSelectElement = h(
    'select',
    { 'aria-label': 'go to the mean of a class', onchange: choose },
    first,
    ...options,
  )
  return select
}

/** A slider for each latent, the most active first; many of them on demand. */
function sliders(app: App): HTMLElement {
  const { store, data, contents } = app
  const active = data.activity
  const order = [...active.keys()]
  if (data.latents > FIRST) order.sort((a, b) => active[b] - active[a])
  const controls: Control<number>[] = []
  const list = h('div', { class: 'latents', role: 'group', 'aria-label': 'latents' })
  const showAll = calmly(() => {
    if (store.now.tab !== 'decode') return
    const z = settled(store.now.z, contents.model)
    controls.forEach((control, k) => control.show(z[order[k]]))
  })
  const grow = (count: number): void => {
    controls.push(...order.slice(controls.length, count).map((d) => control(app, d)))
    list.replaceChildren(...controls.map(({ element }) => element))
    showAll()
  }
  const more: HTMLButtonElement = h('button', { class: 'quiet', 'aria-expanded': 'false', onclick: () => toggle() })
  const toggle = (): void => {
    const open = more.getAttribute('aria-expanded') !== 'true'
    more.setAttribute('aria-expanded', String(open))
    more.replaceChildren(open ? `show the first ${FIRST}` : `show all ${data.latents}`)
    if (!open) controls.splice(FIRST)
    grow(open ? data.latents : FIRST)
  }
  grow(FIRST)
  more.replaceChildren(`show all ${data.latents}`)
  store.on(['z', 'tab'], showAll)
  return h('div', { class: 'sliders' }, list, data.latents > FIRST ? more : null, asleep(app, active))
}

/** Tells of latents that the model makes no use of, if it could have. */
function asleep({ contents: { model }, data }: App, active: ArrayLike<number>): HTMLElement | null {
  const idle = Array.from(active).filter((variance) => variance < ASLEEP).length
  if (!idle || model.point || model.support !== 'all') return null
  const which = idle === data.latents ? `All ${idle}` : `${idle} of the ${data.latents}`
  return h(
    'p',
    { class: 'soft small' },
    `${which} latents hardly vary from image to image (variance of their centres below ${ASLEEP}): the model makes no use of them.`,
  )
}

/** The slider of a latent, and its number to type. */
function control(app: App, d: number): Control<number> {
  const { store, contents } = app
  const scale = scaleOf(app, d)
  const name = `z${d + 1}`
  const [min, max, step] = scale.range
  const levels = contents.model.support
  const set = (value: number): void => {
    if (!Number.isFinite(value)) return
    const z = settled(store.now.z, contents.model)
    store.set({ z: [...(levels === 'sphere' ? turned(z, d, value) : z.with(d, value))] })
  }
  const slide = h('input', {
    type: 'range',
    min,
    max,
    step,
    'aria-label': name,
    oninput: () => set(scale.value(Number(slide.value))),
  })
  const type = h('input', {
    type: 'number',
    step: typeof levels === 'number' ? 2 / (levels - 1) : 0.1,
    'aria-label': `${name}, as a number`,
    onchange: () => set(type.valueAsNumber),
  })
  const show = (value: number): void => {
    const at = scale.place(value)
    slide.value = String(at)
    slide.setAttribute(
      'aria-valuetext',
      typeof levels === 'number'
        ? `level ${at + 1} of ${levels}`
        : `${number(value, 2)}, ${number(100 * at)} % lie below`,
    )
    if (document.activeElement !== type) type.value = value.toFixed(2)
  }
  return {
    element: h('div', { class: 'latent' }, h('span', { class: 'name', 'aria-hidden': 'true' }, name), slide, type),
    show,
  }
}
