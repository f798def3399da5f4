// The panels, one of which is open. Where there is no room for all their names, these scroll sideways.

import type { App, Panel } from './app'
import { h } from './dom'

export function tabs(app: App, panels: Panel[]): HTMLElement {
  const buttons = panels.map(({ tab, title }) =>
    h(
      'button',
      { role: 'tab', id: `tab-${tab}`, 'aria-controls': `panel-${tab}`, onclick: () => app.store.set({ tab }) },
      title,
    ),
  )
  const bodies = panels.map(({ tab, element }) =>
    h('section', { role: 'tabpanel', id: `panel-${tab}`, 'aria-labelledby': `tab-${tab}`, tabindex: 0 }, element),
  )
  const list = h('div', { role: 'tablist', 'aria-label': 'what to do' }, ...buttons)
  const open = (): number =>
    Math.max(
      0,
      panels.findIndex(({ tab }) => tab === app.store.now.tab),
    )
  list.addEventListener('keydown', (event) => {
    const next = moved(event.key, open(), panels.length)
    if (next === null) return
    event.preventDefault()
    app.store.set({ tab: panels[next].tab })
    buttons[next].focus()
  })
  app.store.on(['tab'], () => {
    const now = open()
    bodies.forEach((body, k) => (body.hidden = k !== now))
    buttons.forEach((button, k) => {
      button.setAttribute('aria-selected', String(k === now))
      button.tabIndex = k === now ? 0 : -1
    })
    inSight(list, buttons[now])
  })
  return h('div', { class: 'tabs' }, list, ...bodies)
}

/** Which tab a key leads to, if it does. */
function moved(key: string, now: number, count: number): number | null {
  if (key === 'Home') return 0
  if (key === 'End') return count - 1
  const step = { ArrowRight: 1, ArrowLeft: -1 }[key]
  return step ? (now + step + count) % count : null
}

/** Scrolls the names, and nothing else, so that one is seen. */
function inSight(list: HTMLElement, button: HTMLElement): void {
  const left = button.offsetLeft - list.offsetLeft
  list.scrollTo({ left: left - (list.clientWidth - button.offsetWidth) / 2 })
}
