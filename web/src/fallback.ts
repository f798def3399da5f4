// What is shown where a browser cannot run the model: why, and what needs no program.

import type { Contents } from './contents'
import { h } from './dom'
import type { Engine } from './engine'

/** How long the model may take until the page goes on without it, in milliseconds. */
const PATIENCE = 45_000

/** What this browser lacks, or nothing. */
export function missing(): string {
  const wanted = ['WebAssembly', 'DecompressionStream', 'Worker', 'createImageBitmap', 'OffscreenCanvas']
  return wanted.find((name) => !(name in globalThis)) ?? ''
}

/** The page of a browser that is too old: why, and static pictures. */
export function fallback(contents: Contents, lacking: string): void {
  const rest = contents.pictures.length ? ' These pictures need none.' : ''
  const note = `This browser has no ${lacking}, so it cannot run the model.${rest} Firefox, Chrome, Edge and Safari of 2023 or later show the whole page.`
  const figures = contents.pictures.map(({ block, caption }) => {
    const text = document.getElementById(`block-${block}`)?.textContent ?? ''
    return h(
      'figure',
      {},
      h('img', { src: `data:image/webp;base64,${text}`, alt: caption }),
      h('figcaption', {}, caption),
    )
  })
  document
    .getElementById('app')
    ?.replaceChildren(h('div', { class: 'static' }, h('p', { class: 'warning', role: 'alert' }, note), ...figures))
}

/** The model once it runs; or nothing, and `contents.model.missing` says why not. */
export async function started(contents: Contents, starting: Promise<Engine>): Promise<Engine | null> {
  const late = new Promise<never>((_, reject) =>
    setTimeout(reject, PATIENCE, new Error(`it did not start within ${PATIENCE / 1000} seconds`)),
  )
  try {
    return await Promise.race([starting, late])
  } catch (error) {
    contents.model.missing = reason(error)
    return null
  }
}

/** An error in words, of which the first tell the reason. */
function reason(error: unknown): string {
  const text = (error instanceof Error ? error.message : String(error)).replace(/^(Uncaught )?(Error: )+/, '')
  return text.length > 200 ? `${text.slice(0, 200)} ...` : text
}

/** Says that there is no model, and what is left. */
export const without = (why: string): HTMLElement =>
  h(
    'p',
    { class: 'warning' },
    `The model does not run on this page (${why}). The map and how training went are here all the same.`,
  )
