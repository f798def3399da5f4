// The first words: what one can do on the map. They leave once it has been done.

import type { App } from '../app'
import { h } from '../dom'

/** Milliseconds after the first move, in which the words can be read to their end. */
const LINGER = 2500

/** Nothing on a page that was opened at a view of its own. */
export function invite({ store, engine }: App): HTMLElement | string {
  if (location.hash.length > 1) return ''
  const [deed, press] = matchMedia('(hover: hover)').matches ? ['Move', 'Click'] : ['Drag', 'Tap']
  const decode = `${deed} over the map: the decoder makes an image of every place. `
  const element = h(
    'p',
    { class: 'invite' },
    h('b', {}, engine ? decode : ''),
    `${press} a dot to see all about its image.`,
  )
  const begin = store.now
  let leaving = 0
  store.on(['z', 'selected', 'frame', 'tool', 'view', 'region'], (state) => {
    const touched = state.z !== begin.z || state.selected !== begin.selected || state.tool !== begin.tool
    if (touched || state.frame !== null || state.region.length)
      leaving ||= window.setTimeout(() => element.remove(), LINGER)
  })
  return element
}
