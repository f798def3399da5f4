// What stands above and below the map and the panels: which model this is, what it is made of, and how the page came
// about. Both are there before the model is read, and do not change their size when it is.

import { bytes } from './blocks'
import type { Contents } from './contents'
import { h, number } from './dom'
import { copyLink } from './share'
import type { Store } from './store'

/** Fills the header, and says how large pictures are: a pixel of the model's is a whole number of the screen's. */
export function header(contents: Contents): void {
  const found =
    document.querySelector('body > header') ?? document.body.insertBefore(h('header'), document.body.firstChild)
  const title = h('h1', {}, `${contents.run}: `, h('span', { class: 'long' }, 'the latent space of '), contents.title)
  const facts = h('dl', { class: 'facts', 'aria-label': 'the model', tabindex: 0 }, ...made(contents))
  found.replaceChildren(
    h('div', { class: 'head' }, title, h('p', { class: 'caption' }, contents.caption)),
    facts,
    h('div', { class: 'acts' }),
  )
  const [channels, height, width] = contents.shape
  document.body.classList.toggle('alpha', channels % 2 === 0)
  for (const [name, side] of Object.entries({ small: 56, picture: 112, large: 168 })) {
    const factor = Math.max(1, Math.round(side / Math.max(height, width)))
    document.documentElement.style.setProperty(`--${name}-w`, `${factor * width}px`)
    document.documentElement.style.setProperty(`--${name}-h`, `${factor * height}px`)
  }
}

/** Names and values of what the model is made of. */
function made({ model }: Contents): HTMLElement[] {
  const parts: [string, string][] = [
    ['network', model.network],
    ['latents', String(model.latents)],
    ['prior', model.prior],
    ['posterior', model.posterior],
    ['likelihood', model.likelihood],
    ['parameters', number(model.parameters, 0)],
  ]
  return parts.filter(([, value]) => value).map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)))
}

/** The switch of explanations, once there is a state that it changes. */
export function acts(store: Store): void {
  const box = h('input', { type: 'checkbox', role: 'switch', onchange: () => store.set({ explain: box.checked }) })
  store.on(['explain'], ({ explain }) => {
    box.checked = explain
    document.body.classList.toggle('terse', !explain)
  })
  document.querySelector('body > header .acts')?.replaceChildren(h('label', {}, box, 'explanations'))
}

/** The footer: that nothing is sent, and all else that there is to say of the page. */
export function footer(contents: Contents): void {
  const { count, of, split } = contents.points
  const licences = h('p', { class: 'soft', style: 'white-space: pre-line' })
  const about = h(
    'details',
    { class: 'about' },
    h('summary', {}, 'about this page'),
    h(
      'div',
      {},
      h(
        'p',
        {},
        `vaescope ${contents.version} wrote this page from the run ${contents.run}: `,
        h('code', {}, `vaescope explore ${contents.run}`),
      ),
      h(
        'p',
        {},
        `It shows ${number(count, 0)} of ${number(of, 0)} ${split} images, and holds the encoder, the decoder and what runs them.`,
      ),
      h(
        'p',
        {},
        'The weights have half precision here, so that numbers may differ from those of the run in the fourth digit.',
      ),
      licences,
    ),
  )
  const read = async (): Promise<void> => licences.append(new TextDecoder().decode(await bytes('licences')))
  about.addEventListener('toggle', () => void read(), { once: true })
  about.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') about.open = false
  })
  document.addEventListener('pointerdown', ({ target }) => {
    if (!about.contains(target as Node)) about.open = false
  })
  const offline = h('span', {}, 'Works offline: nothing that you do here leaves this page.')
  document.body.append(h('footer', {}, offline, h('span', {}, `vaescope ${contents.version}`), about, copyLink()))
}
