// What is shown where a browser cannot run the model: why, and pictures that need no program.

import type { Contents } from './contents'
import { h } from './dom'

/** What this browser lacks, or nothing. */
export function missing(): string {
  if (typeof WebAssembly === 'undefined') return 'WebAssembly'
  if (typeof DecompressionStream === 'undefined') return 'DecompressionStream'
  return ''
}

export async function fallback(contents: Contents, lacking: string): Promise<void> {
  const main = document.getElementById('app')
  const note = h('p', { class: 'warning' }, `This browser has no ${lacking}, so it cannot run the model. These pictures need none; any browser of 2023 or later shows the rest.`)
  const figures = contents.pictures.map(({ block, caption }) => {
    const text = document.getElementById(`block-${block}`)?.textContent ?? ''
    return h('figure', {}, h('img', { src: `data:image/png;base64,${text}`, alt: caption }), h('figcaption', {}, caption))
  })
  main?.replaceChildren(note, ...figures)
}
