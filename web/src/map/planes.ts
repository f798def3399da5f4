// The choice of the plane that is the map, for more than two latents: principal axes, or any two latents.

import type { App } from '../app'
import { h, number } from '../dom'

/** Up to so many latents are listed; of more, one writes the number. */
const LISTED = 50

export function planes({ data, store }: App): HTMLElement | null {
  const { latents } = data
  if (latents < 3) return null
  const spreads = Array.from(data.activity, Math.sqrt)
  const widest = [...spreads.keys()].sort((a, b) => spreads[b] - spreads[a])
  let last: [number, number] = [widest[0], widest[1]]
  const kind = h(
    'select',
    { 'aria-label': 'plane of the map', title: 'Which plane through latent space the map shows' },
    h('option', { value: 'principal' }, 'principal axes'),
    h('option', { value: 'two' }, 'two latents'),
  )
  const fields = [0, 1].map((k) => (latents > LISTED ? numbered(latents, k) : listed(spreads, widest, k)))
  const chosen = (): [number, number] =>
    fields.map((field) => Math.min(latents, Math.max(1, Math.round(Number(field.value)) || 1)) - 1) as [number, number]
  kind.addEventListener('change', () => store.set({ plane: kind.value === 'two' ? last : 'principal', view: null }))
  fields.forEach((field, k) =>
    field.addEventListener('change', () => {
      const pair = chosen()
      // a latent against itself is a line, so that the other axis gives way
      if (pair[0] === pair[1]) pair[1 - k] = last[k]
      store.set({ plane: pair, view: null })
    }),
  )
  const pair = h('span', { class: 'pair' }, fields[0], ' × ', fields[1])
  store.on(['plane', 'frame'], ({ plane, frame }) => {
    const two = plane !== 'principal'
    if (two) last = plane
    kind.value = two ? 'two' : 'principal'
    fields.forEach((field, k) => (field.value = String(last[k] + 1)))
    kind.disabled = frame !== null
    for (const field of fields) field.disabled = frame !== null || !two
  })
  return h('div', { class: 'plane', role: 'group', 'aria-label': 'plane of the map' }, kind, pair)
}

/** Latents in the order of how far the codes spread along them, which is next to nothing for those that are not used. */
function listed(spreads: number[], order: number[], k: number): HTMLSelectElement {
  const options = order.map((d) => h('option', { value: d + 1 }, `z${d + 1} · σ ${number(spreads[d], 2)}`))
  return h(
    'select',
    {
      'aria-label': k ? 'upward latent' : 'rightward latent',
      title: 'σ: the standard deviation of the codes along a latent',
    },
    ...options,
  )
}

const numbered = (latents: number, k: number): HTMLInputElement =>
  h('input', {
    type: 'number',
    min: 1,
    max: latents,
    'aria-label': `${k ? 'upward' : 'rightward'} latent, 1 to ${latents}`,
    title: `A latent from 1 to ${latents}`,
  })
