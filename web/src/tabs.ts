// The panels, one of which is open.

import type { App, Panel } from './app'
import { h } from './dom'

export function tabs(app: App, panels: Panel[]): HTMLElement {
  const buttons = panels.map(({ tab, title }) =>
    h('button', { role: 'tab', id: `tab-${tab}`, 'aria-controls': `panel-${tab}`, onclick: () => app.store.set({ tab }) }, title),
  )
  const bodies = panels.map(({ tab, element }) =>
    h('section', { role: 'tabpanel', id: `panel-${tab}`, 'aria-labelledby': `tab-${tab}`, tabindex: 0 }, element),
  )
  const list = h('div', { role: 'tablist', 'aria-label': 'what to do' }, ...buttons)
  list.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    if (!step) return
    const now = panels.findIndex(({ tab }) => tab === app.store.now.tab)
    const next = (now + step + panels.length) % panels.length
    app.store.set({ tab: panels[next].tab })
    buttons[next].focus()
  })
  app.store.on(['tab'], ({ tab }) =>
    panels.forEach((panel, k) => {
      const open = panel.tab === tab
      bodies[k].hidden = !open
      buttons[k].setAttribute('aria-selected', String(open))
      buttons[k].tabIndex = open ? 0 : -1
    }),
  )
  return h('div', { class: 'tabs' }, list, ...bodies)
}
