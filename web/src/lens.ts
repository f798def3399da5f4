// What the decoder makes of the latents under the pointer, always in sight.

import type { App } from './app'
import { h, picture } from './dom'
import { imageData, show } from './pictures'

export function lens(app: App): HTMLElement {
  const decoded = picture('decoded image', 'large')
  const original = picture('image of the point', 'large')
  app.store.on(['z', 'label'], async ({ z, label }) => {
    const images = await app.engine?.decode(Float32Array.from(z), 'lens', label)
    if (images) show(decoded, imageData(images, app.contents.shape))
  })
  app.store.on(['hovered'], ({ hovered }) => {
    if (hovered !== null) app.album?.show(original, hovered)
  })
  return h('section', { class: 'lens' }, h('figure', {}, decoded, h('figcaption', {}, 'decoded here')), h('figure', {}, original, h('figcaption', {}, 'nearest image')))
}
