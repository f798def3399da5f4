// Always in sight: what the decoder makes of the latents under the pointer, and the point there as it is and as it is
// reconstructed. Its height never changes, and it draws at most once for each picture of the screen.

import type { App } from './app'
import type { Contents } from './contents'
import { calmly, figure, h, number, picture } from './dom'
import { settled } from './latents'
import { draw, pointName, reconstruct, tag } from './points'

/** So many latents are written out. */
const FEW = 4
/** What lies between and beside three pictures, in pixels. */
const GAPS = 24

export function lens(app: App): HTMLElement {
  const element = h('section', { class: 'lens', 'aria-label': 'lens' }, here(app), point(app))
  // not at once: what is fitted changes the sizes of others that are observed
  new ResizeObserver(calmly(() => fit(app, element.clientWidth))).observe(element)
  return element
}

/** Makes three pictures as large as fit side by side, a pixel of theirs a whole number of the screen's. */
function fit({ contents }: App, width: number): void {
  const [, high, wide] = contents.shape
  const [side, sharp] = [Math.max(high, wide), devicePixelRatio]
  const room = (width - GAPS) / 3 / side
  const most = Math.max(1, Math.round(Math.max(112, 0.16 * innerHeight) / side))
  const factor = Math.min(most, Math.floor(room * sharp) / sharp || room)
  document.documentElement.style.setProperty('--lens-w', `${factor * wide}px`)
  document.documentElement.style.setProperty('--lens-h', `${factor * high}px`)
}

/** The decoded image of the latents under the pointer. */
function here(app: App): HTMLElement {
  const { store, engine, contents } = app
  const canvas = picture('image decoded at the chosen latents')
  const time = h('span', { class: 'time', title: 'how long the decoder took' })
  const place = h('p', { class: 'said number' })
  const decode = calmly(async () => {
    const { z, label } = store.now
    place.replaceChildren(words([...settled(z, contents.model)], contents.model.support))
    const image = await engine?.decode(Float32Array.from(z), 'lens', label)
    if (!image) return
    draw(app, canvas, image)
    const took = engine?.took ?? null
    time.replaceChildren(took === null ? '' : `${number(took)} ms`)
  })
  store.on(['z', 'label'], decode)
  const told = contents.model.labels !== 'none'
  const caption = h('span', { class: 'what' })
  store.on(['label'], ({ label }) => {
    caption.replaceChildren(told ? `as ${contents.classes[label]}` : 'decoded')
    caption.title = told ? `decoded as ${contents.classes[label]}` : ''
  })
  return h('div', { class: 'here' }, engine && figure(canvas, caption, ' ', time), place)
}

/** Latents as short numbers, or how many there are and how far from 0. */
function words(z: number[], support: Contents['model']['support']): string {
  if (z.length <= FEW) return z.map((value) => number(value, 2)).join(', ')
  return `${z.length} latents,\n${typeof support === 'number' ? `${support} levels each` : `length ${number(Math.hypot(...z), 2)}`}`
}

/** The point under the pointer, or else the one that was clicked. */
function point(app: App): HTMLElement {
  const { store, album, engine } = app
  const [original, made] = [picture('image of the point'), picture('its reconstruction')]
  const said = h('p', { class: 'said' })
  const figures = h(
    'div',
    { class: 'pair' },
    album && figure(original, 'image'),
    engine && figure(made, 'reconstruction'),
  )
  const find = calmly(async () => {
    const { hovered, selected } = store.now
    const found = hovered ?? selected
    figures.classList.toggle('empty', found === null)
    said.replaceChildren(
      ...(found === null ? ['Point at a dot of the map: its image appears here.'] : facts(app, found)),
    )
    if (found === null) return
    original.setAttribute('aria-label', `image of ${pointName(app, found)}`)
    made.setAttribute('aria-label', `reconstruction of ${pointName(app, found)}`)
    album?.show(original, found)
    const image = await reconstruct(app, found, 'lens point')
    if (image && found === (store.now.hovered ?? store.now.selected)) draw(app, made, image)
  })
  store.on(['hovered', 'selected'], find)
  return h('div', { class: 'there' }, figures, said)
}

/** The class, the place and the main scores of a point. */
function facts(app: App, found: number): (Node | string)[] {
  const { data, contents } = app
  const names = ['elbo', 'error'].filter((name) => name in data.scores)
  const scores = names.map(
    (name) => `${name === 'elbo' ? 'ELBO' : 'error'} ${number(data.scores[name][found], name === 'elbo' ? 1 : 3)}`,
  )
  const title = names.map((name) => `${contents.scores[name].title} in ${contents.scores[name].unit}`).join(', ')
  return [tag(app, found), h('span', { class: 'number soft', title }, scores.join(' · '))]
}
