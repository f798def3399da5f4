// Small controls of the map: buttons with a picture, switches, and one of several.

import { h } from '../dom'

const ICONS = {
  decode: 'M10 1v5M10 14v5M1 10h5M14 10h5M10 6.5a3.5 3.5 0 1 0 0 7a3.5 3.5 0 1 0 0-7',
  pan: 'M10 2v16M2 10h16M7.5 4.5L10 2l2.5 2.5M7.5 15.5L10 18l2.5-2.5M4.5 7.5L2 10l2.5 2.5M15.5 7.5L18 10l-2.5 2.5',
  lasso:
    'M10 3c5 0 8 2 8 4.8s-3 5-8 5s-8-2-8-5s3-4.8 8-4.8M5 12.2c-1.5 1.2-1 3 .6 3s2-2 .4-3M5.5 15.2c0 1.3-.6 2.2-1.7 2.8',
  anchor:
    'M10 18c-3.5-4.5-5.5-7-5.5-10a5.5 5.5 0 1 1 11 0c0 3-2 5.5-5.5 10M10 6.2a1.8 1.8 0 1 0 0 3.6a1.8 1.8 0 1 0 0-3.6',
  dots: 'M5 5.5h.01M11 3.5h.01M15.5 8h.01M8.5 9.5h.01M4.5 13h.01M13 13.5h.01M9 16.5h.01M16.5 16.5h.01',
  grid: 'M3 3h14v14H3zM3 7.670h14M3 12.330h14M7.670 3v14M12.330 3v14',
  closer: 'M10 3.5v13M3.5 10h13',
  farther: 'M3.5 10h13',
  all: 'M3 7.5V3h4.5M12.5 3H17v4.5M17 12.5V17h-4.5M7.5 17H3v-4.5',
}

type Icon = keyof typeof ICONS

function icon(name: Icon): SVGSVGElement {
  const made = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path')
  made.setAttribute('viewBox', '0 0 20 20')
  made.setAttribute('aria-hidden', 'true')
  made.setAttribute('class', `icon ${name}`)
  path.setAttribute('d', ICONS[name])
  made.append(path)
  return made
}

/** A button with a picture, its word, and what it does when the pointer rests on it. */
export function iconButton(name: Icon, word: string, title: string, run: () => void, worded = true): HTMLButtonElement {
  const label = worded ? h('span', { class: 'word' }, word) : null
  return h('button', { type: 'button', class: 'tool', title, 'aria-label': word, onclick: run }, icon(name), label)
}

export const pressed = (button: HTMLElement, on: boolean): void => button.setAttribute('aria-pressed', String(on))

export const group = (label: string, ...children: (Node | null)[]): HTMLElement =>
  h('div', { class: 'segments', role: 'group', 'aria-label': label }, ...children)
